"""Plug-ins that come with the package; each is imported when it is used."""
