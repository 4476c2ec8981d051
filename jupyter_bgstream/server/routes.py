"""Every address of this extension, below ``api/bgstream/``."""

from __future__ import annotations

from . import batches, images, inbox, jobs, live, log, openapi, threads

ROUTES = [
    *jobs.ROUTES,
    *batches.ROUTES,
    *threads.ROUTES,
    *inbox.ROUTES,
    *log.ROUTES,
    *images.ROUTES,
    *live.ROUTES,
    *openapi.ROUTES,
]
