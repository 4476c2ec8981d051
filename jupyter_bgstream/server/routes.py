"""All routes of this extension, below ``api/bgstream/``."""

from . import batches, costs, event_log, images, inbox, jobs, openapi, server_info, threads, websocket

ROUTES = [
    *jobs.ROUTES,
    *batches.ROUTES,
    *threads.ROUTES,
    *inbox.ROUTES,
    *costs.ROUTES,
    *server_info.ROUTES,
    *event_log.ROUTES,
    *images.ROUTES,
    *websocket.ROUTES,
    *openapi.ROUTES,
]

openapi.OpenAPIHandler.every_route = ROUTES
