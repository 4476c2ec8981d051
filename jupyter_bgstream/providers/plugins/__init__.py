"""Plug-ins: providers of other packages, loaded, run and validated."""
