"""Floor 2: makes jobs run. Knows the ports of store and provider, never a concrete one."""
