"""All routes of this extension, below ``api/bgstream/``."""

from __future__ import annotations

from . import batches, images, inbox, jobs, live, log, meta, openapi, threads, usage

ROUTES = [
    *jobs.ROUTES,
    *batches.ROUTES,
    *threads.ROUTES,
    *inbox.ROUTES,
    *usage.ROUTES,
    *meta.ROUTES,
    *log.ROUTES,
    *images.ROUTES,
    *live.ROUTES,
    *openapi.ROUTES,
]

openapi.OpenAPIHandler.every_route = ROUTES
