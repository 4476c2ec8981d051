"""Layer 1a: storage of jobs, logs and notices. ``base`` is the interface, ``sqlite`` the backend."""
