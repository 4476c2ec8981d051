"""Display labels of statuses, the same in tables of ``%bg``, cells, panel and toasts; the API has statuses."""

from collections.abc import Mapping

from ..core.state import Status

# As in ``labextension/src/views/jobLabels.ts``.
_LABELS: Mapping[Status, str] = {
    "new": "Queued",
    "queued": "Queued",
    "running": "Running",
    "waiting": "Waiting",
    "completed": "Done",
    "failed": "Failed",
    "interrupted": "Interrupted",
    "cancelled": "Stopped",
}
_FINISH_LABELS = {
    "length": "Cut off",
    "content_filter": "Filtered",
    "refusal": "Filtered",
    "tool_calls": "Asks for tools",
}
PAUSED = "Paused"


def status_label(status: Status, finish_reason: str | None = None) -> str:
    """Return the display label of a job's status; a completed job may have one for its finish reason."""
    if status == "completed" and finish_reason in _FINISH_LABELS:
        return _FINISH_LABELS[finish_reason]
    return _LABELS.get(status, status.capitalize())  # a newer server may have another status
