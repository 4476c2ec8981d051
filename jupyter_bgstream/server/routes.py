"""Every address of this extension, below ``api/bgstream/``."""

from __future__ import annotations

from . import groups, images, inbox, live, openapi, rest, stream, threads

ROUTES = [
    *rest.ROUTES,
    *groups.ROUTES,
    *threads.ROUTES,
    *inbox.ROUTES,
    *stream.ROUTES,
    *images.ROUTES,
    *live.ROUTES,
    *openapi.ROUTES,
]
