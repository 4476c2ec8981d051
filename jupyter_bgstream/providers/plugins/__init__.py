"""Plug-ins: providers of other packages, which are loaded, run and validated here."""
