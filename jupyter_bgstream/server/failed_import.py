"""The extension in place of the real one if that cannot be imported: every route responds 503 with the reason."""

import json
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from ..requirement_check import unmet_requirements


class FailedImportHandler(APIHandler):
    """A route that responds to every request with the reason."""

    def initialize(self, reason: str) -> None:
        """Store the reason."""
        self.explanation = reason

    @web.authenticated
    async def get(self) -> None:
        """Respond 503."""
        self.set_status(503)
        self.finish(json.dumps({"code": "unavailable", "message": self.explanation, "field": None}))

    head = post = put = patch = delete = get


def load(serverapp: Any, error: Exception) -> None:
    """Log why the extension cannot be loaded, and register its routes."""
    causes = [str(unmet) for unmet in unmet_requirements()] or [f"{type(error).__name__}: {error}"]
    reason = " ".join(["jupyter_bgstream could not start.", *causes])
    serverapp.log.critical(reason, exc_info=error)
    pattern = url_path_join(serverapp.base_url, r"/api/bgstream(?:/.*)?")
    serverapp.web_app.add_handlers(".*$", [(pattern, FailedImportHandler, {"reason": reason})])
