"""Layer 0: values of jobs, and the functions on them. No I/O, no clock, no async."""
