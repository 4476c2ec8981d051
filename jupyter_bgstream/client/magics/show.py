"""All details of a job, for ``%bg show``."""

import json
from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any

from ...core.schemas.jobs import JobDetail
from ...core.terminal_text import visible, visible_line
from ..costs import usd
from ..job_table import duration, with_delay
from ..status_labels import status_label
from ..text_table import TABLE, cut

_PARAMS = 400  # characters
_MOST = 10_000  # characters of all messages, because a page lays out an output each time it opens the notebook


def details(job: JobDetail, now: float) -> dict[str, str]:
    """Return the display bundle of a job's facts and messages; ``now`` is in Unix seconds."""
    facts = {name: value for name, value in _facts(job, now).items() if value}
    width = max(map(len, facts))
    messages = _shortened([(message["role"], content_text(message["content"])) for message in job.messages])
    plain = [f"{name:{width}}  {visible_line(value)}" for name, value in facts.items()]
    plain += [f"\n{role}:\n{words}" for role, words in messages]
    rows = "".join(
        f'<tr><th style="text-align: left">{name}</th><td style="text-align: left">{escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    prompts = "".join(
        f'<p><b>{escape(role)}</b></p><pre style="white-space: pre-wrap">{escape(words)}</pre>'
        for role, words in messages
    )
    return {"text/plain": visible("\n".join(plain)), "text/html": f"{TABLE}{rows}</table>{prompts}"}


def _shortened(messages: list[tuple[str, str]]) -> list[tuple[str, str]]:
    # The beginning of each message, so that all have the same space.
    room = _MOST // max(1, len(messages))
    most = max(room, 100)
    shown = [
        (role, words if len(words) <= most else f"{words[:most]}… ({len(words) - most:,} more characters)")
        for role, words in messages[: _MOST // 100]
    ]
    left = len(messages) - len(shown)
    return [*shown, ("", f"({left:,} more messages)")] if left else shown


def _facts(job: JobDetail, now: float) -> dict[str, str]:
    usage: Mapping[str, Any] = job.usage or {}
    counts = [f"{usage[name]:,} {words}" for name, words in _TOKENS.items() if usage.get(name)]
    params = json.dumps(job.params, ensure_ascii=False) if job.params else ""
    return {
        "job": job.id,
        "status": with_delay(status_label(job.status, job.finish_reason), job.not_before, now),
        "reason": job.finish_reason if job.finish_reason not in (None, "stop") else "",
        "error": f"{job.error.message} ({job.error.code})" if job.error else "",
        "model": job.model,
        "params": cut(params, _PARAMS),
        "thread": job.thread or "",
        "notebook": job.source.notebook or "",
        "batch": job.batch or "",
        "tags": ", ".join(job.tags),
        "submitted by": job.submitted_by or "",
        "submitted": datetime.fromtimestamp(job.created_at).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        "waited": duration(job.started_at - job.created_at) if job.started_at else "",
        "took": duration((job.ended_at or now) - job.started_at) if job.started_at else "",
        "tokens": ", ".join(counts),
        "cost": usd(job.cost.usd, estimated=job.cost.estimated) if job.cost else "",
        "retry of": job.retry_of or "",
        "retried by": job.retried_by or "",
    }


_TOKENS = {
    "input_tokens": "in",
    "cached_tokens": "of them cached",
    "output_tokens": "out",
    "reasoning_tokens": "of them reasoning",
}


def content_text(content: Any) -> str:
    """Return the content of a message as text, with a description in place of images and files."""
    if isinstance(content, str):
        return content
    return "\n".join(
        part["text"] if part.get("type") == "text" else f"[{_described(part)}, {part.get('bytes', 0):,} bytes]"
        for part in content
    )


def _described(part: Mapping[str, Any]) -> str:
    return " ".join(str(part[name]) for name in ("name", "media_type") if part.get(name))
