"""Control characters in log records are escaped."""

from __future__ import annotations

import io
import logging

import pytest
from tornado.log import LogFormatter

from jupyter_bgstream.server.log_filter import escape_control_characters

SPITE = "\x1b]52;c;eA==\x07\x9b2J\u202e"
SHOWN = "\\x1b]52;c;eA==\\x07\\x9b2J\\u202e"


@pytest.mark.parametrize("formatter", [logging.Formatter("%(message)s"), LogFormatter(fmt="%(message)s", color=False)])
@pytest.mark.parametrize("name", ["BgStreamApp", "jupyter_bgstream.engine.runner"])
def test_control_characters_in_log_records_are_escaped(name: str, formatter: logging.Formatter) -> None:
    own, logger = logging.Logger("BgStreamApp"), logging.getLogger(name)
    for each in (own, logging.getLogger("jupyter_bgstream.engine.runner")):
        escape_control_characters(each)
        escape_control_characters(each)
    logger = own if name == "BgStreamApp" else logger
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    try:
        logger.warning("job %s: %d", SPITE, 3)
        logger.warning("100 %% of %s", SPITE)
        try:
            raise ValueError(SPITE)
        except ValueError:
            logger.exception("It broke.")
    finally:
        logger.removeHandler(handler)
    lines = written.getvalue()
    assert lines.startswith(f"job {SHOWN}: 3\n100 % of {SHOWN}\n")
    assert f"ValueError: {SHOWN}" in lines
    assert not set(SPITE) & set(lines) & set("\x1b\x07\x9b\u202e")


def test_loggers_of_other_packages_are_unchanged() -> None:
    escape_control_characters(logging.Logger("BgStreamApp"))
    for name in (None, "jupyter_bgstreams", "tornado.access"):
        assert not logging.getLogger(name).filters
