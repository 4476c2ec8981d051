"""Layer 1a: storage of jobs, logs and notices. ``ports`` is the interface, ``sqlite`` the backend."""
