"""Escape control characters in log lines, which go to terminals and may quote providers, models and titles."""

from __future__ import annotations

import logging
from typing import Any

from ..core.terminal_text import visible

_formatter = logging.Formatter()


def escape_control_characters(own: logging.Logger | logging.LoggerAdapter[Any]) -> None:
    """Escape them in lines of ``own`` and of all loggers of this package; Jupyter's other lines stay as they are."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "jupyter_bgstream"]
    for logger in (own.logger if isinstance(own, logging.LoggerAdapter) else own, *map(logging.getLogger, names)):
        logger.addFilter(_escape)  # adding it again changes nothing


def _escape(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    if (escaped := visible(message)) != message:
        record.msg, record.args = escaped, ()
    if record.exc_info and not record.exc_text:  # formatters use this text
        record.exc_text = visible(_formatter.formatException(record.exc_info))
    return True
