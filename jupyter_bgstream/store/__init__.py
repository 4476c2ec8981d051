"""Floor 1a: where jobs, their logs and their notices live. ``base`` is the port, the rest are backends."""
