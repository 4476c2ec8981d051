"""Log lines go to terminals, and may quote providers, models and titles: control characters are written out."""

from __future__ import annotations

import logging
from typing import Any

from ..core.terminal_text import visible

_formatter = logging.Formatter()


def write_controls_out(own: logging.Logger | logging.LoggerAdapter[Any]) -> None:
    """Do so in what ``own`` and all loggers of this package log; Jupyter's other lines are left alone."""
    ours = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "jupyter_bgstream"]
    for logger in (own.logger if isinstance(own, logging.LoggerAdapter) else own, *map(logging.getLogger, ours)):
        logger.addFilter(_visibly)  # adding it again changes nothing


def _visibly(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    if (shown := visible(message)) != message:
        record.msg, record.args = shown, ()
    if record.exc_info and not record.exc_text:  # where formatters find it
        record.exc_text = visible(_formatter.formatException(record.exc_info))
    return True
