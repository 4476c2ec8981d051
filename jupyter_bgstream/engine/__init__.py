"""Layer 2: runs jobs. Uses the ports of store and providers, never a concrete backend."""
