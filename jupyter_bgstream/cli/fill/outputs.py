"""Finds jobs and batches in the outputs of a notebook, and writes what they should say.

The same rules as when a page saves (``labextension/src/bundle.ts``): byte for byte the same file comes of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ...client.execution import NOT_WAITED_FOR, REST_NOT_WAITED_FOR
from ...core.batches import EndCounts
from ...core.codec import BATCH_MIME, BUNDLE_MIME, JOBS_MIME
from ...core.pauses import Paused
from ...core.state import ENDS, Status
from ...outputs.batch import batch_bundle
from ...outputs.images import lacks_pictures
from ...outputs.mimebundle import (
    OutputSnapshot,
    SavedOutput,
    bundle,
    bundle_of_several,
    heading_markdown,
    heading_plain,
)

Data = dict[str, Any]  # of an output, by MIME type

_TEXTS = ("text/markdown", "text/plain")


class BatchOutput(msgspec.Struct, frozen=True, kw_only=True):
    """How far a group is."""

    id: str
    status: Status
    title: str
    total: int
    counts: EndCounts
    paused: Paused | None = None


class Known(msgspec.Struct, kw_only=True):
    """What is known now of the jobs and batches that a notebook names; by the ids in it."""

    jobs: dict[
        str, OutputSnapshot
    ] = {}  # the newest that asks it again; only of those that the notebook may have wrong
    batches: dict[str, BatchOutput] = {}
    unfinished: set[str] = set()  # ids of jobs and batches that go on
    unknown: set[str] = set()


def places(notebook: Mapping[str, Any]) -> Iterator[Data]:
    """Return the data of every output that shows a job, several of them, or a batch."""
    for cell in notebook["cells"]:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        outputs = cell.get("outputs")
        for output in outputs if isinstance(outputs, list) else ():
            data = output.get("data") if isinstance(output, dict) else None
            if isinstance(data, dict) and (jobs_of(data) or batch_of(data)):
                yield data


def jobs_of(data: Data) -> list[Data]:
    """Return the keys of the jobs in an output."""
    several = data.get(JOBS_MIME)
    keys = several.get("jobs") if isinstance(several, dict) else None
    if not isinstance(keys, list):
        keys = [data.get(BUNDLE_MIME)]
    return [key for key in keys if isinstance(key, dict) and isinstance(key.get("id"), str)]


def batch_of(data: Data) -> Data | None:
    """Return the key of the batch in an output, if there is one."""
    key = data.get(BATCH_MIME)
    return key if isinstance(key, dict) and isinstance(key.get("id"), str) else None


def is_whole(data: Data) -> bool:
    """Whether all jobs of an output had ended when it was saved, and their pictures were at hand."""
    markdown = text_of(data, "text/markdown")
    return all(map(has_ended, jobs_of(data))) and not (isinstance(markdown, str) and lacks_pictures(markdown))


def has_ended(key: Data) -> bool:
    """Whether a job or batch had ended when it was saved."""
    status = key.get("status")
    return isinstance(status, str) and status in ENDS


def refreshed(data: Data, known: Known) -> Data | None:
    """Return what differs in an output's data now, or None if it says so already, or if nothing is known of it."""
    fresh = _batch(data, known) if batch_of(data) else _jobs(data, known)
    if fresh is None or all(text_of(data, name) == fresh[name] for name in fresh if name != "text/plain"):
        return None  # the plain text goes by the Markdown, as for a page
    return fresh


def text_of(data: Data, mime: str) -> Any:
    """Return a text of an output, which on disk may be a list of lines; of any other kind what is there."""
    value = data.get(mime)
    return "".join(map(str, value)) if mime in _TEXTS and isinstance(value, list) else value


def write(data: Data, fresh: Data, *, lines: bool) -> None:
    """Put it into an output's data, with the order and the form that are there; ``lines``: as on disk."""
    in_order = list(data) == sorted(data)
    for name, value in fresh.items():
        if lines and name in _TEXTS and not isinstance(data.get(name), str):
            data[name] = value.splitlines(keepends=True)
        else:
            data[name] = _in_order_of(data.get(name), value)
    if in_order:  # as nbformat writes it
        for name in sorted(data):
            data[name] = data.pop(name)


def _in_order_of(old: Any, new: Any) -> Any:
    if isinstance(new, dict) and isinstance(old, dict):
        names = [*(name for name in old if name in new), *(name for name in new if name not in old)]
        return type(old)({name: _in_order_of(old.get(name), new[name]) for name in names})
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        return [_in_order_of(before, after) for before, after in zip(old, new, strict=True)]
    return new


def _batch(data: Data, known: Known) -> Data | None:
    saved = batch_of(data)
    now = known.batches.get(saved["id"]) if saved else None
    if now is None:
        return None
    unended = _still(data, REST_NOT_WAITED_FOR)
    return batch_bundle(now.id, now.status, now.title, now.total, now.counts, paused=now.paused, unended=unended)


def _jobs(data: Data, known: Known) -> Data | None:
    keys = jobs_of(data)
    jobs = [_as_page(known.jobs.get(key["id"]), key) for key in keys]
    if not any(jobs):
        return None
    if JOBS_MIME in data:
        return _side_by_side(data, keys, jobs)
    return bundle(jobs[0], unended=_still(data, NOT_WAITED_FOR)) if jobs[0] else None


def _still(data: Data, note: str) -> str:
    """Return a note of a notebook that a program has executed, if it is there: it holds until the end has come."""
    return note if note in str(text_of(data, "text/plain")) else ""


def _as_page(job: OutputSnapshot | None, key: Data) -> OutputSnapshot | None:
    if job is None or job.answer.status == "new":
        return None
    answer = job.answer
    if answer.status == "waiting":  # a time of day is for who reads it now, and no page saves it
        answer = msgspec.structs.replace(answer, error=None)
    return job._replace(model=key.get("model", job.model), answer=answer)


def _side_by_side(data: Data, keys: Sequence[Data], jobs: Sequence[OutputSnapshot | None]) -> Data | None:
    """Return the bundle of several jobs; the saved text of an unknown job stays.

    Returns:
        None if the saved text of an unknown job cannot be told from the others.

    """
    models = [str(key.get("model", "")) for key in keys]
    markdown = plain = [""] * len(keys)
    if not all(jobs):
        saved = _parted(text_of(data, "text/markdown"), list(map(heading_markdown, models)))
        saved_plain = _parted(text_of(data, "text/plain"), list(map(heading_plain, models)))
        if saved is None or saved_plain is None:
            return None
        markdown, plain = saved, saved_plain
    parts = [job or SavedOutput(keys[i], markdown[i], plain[i]) for i, job in enumerate(jobs)]
    return bundle_of_several(parts, models=models, unended=_still(data, NOT_WAITED_FOR))


def _parted(text: Any, headings: Sequence[str]) -> list[str] | None:
    """Return what is below each of these lines; None if they are not there in this order and once each."""
    lines = text.split("\n") if isinstance(text, str) else []
    at = [number for number, line in enumerate(lines) if line in headings]
    if [lines[number] for number in at] != list(headings) or at[:1] != [0]:
        return None
    # Between two of them there is an empty line after the first and one before the second.
    ends = [*(number - 1 for number in at[1:]), len(lines)]
    return ["\n".join(lines[number + 2 : end]) for number, end in zip(at, ends, strict=True)]
