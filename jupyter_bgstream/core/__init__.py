"""Floor 0: what a job is. Pure values and functions: no I/O, no clock, no async."""
