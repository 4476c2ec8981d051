"""Find jobs and batches in the outputs of a notebook, and update these outputs.

The rules are those of a page that saves (``labextension/src/outputs/mimebundle.ts``), so that the files are
the same byte for byte.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ...client.executed_notebooks import NOT_WAITED_FOR, REST_NOT_WAITED_FOR
from ...core.codec import BATCH_MIME, BUNDLE_MIME, JOBS_MIME
from ...core.schemas.batches import BatchInfo
from ...core.state import ENDS
from ...outputs.batch import BatchOutput, batch_bundle
from ...outputs.images import lacks_images
from ...outputs.mimebundle import (
    OutputSnapshot,
    SavedOutput,
    bundle,
    bundle_of_several,
    heading_markdown,
    heading_plain,
)

Data = dict[str, Any]  # data of an output, by MIME type

_TEXTS = ("text/markdown", "text/plain")


class Known(msgspec.Struct, kw_only=True):
    """Current state of the jobs and batches of a notebook, by the ids in the notebook."""

    jobs: dict[str, OutputSnapshot] = {}  # newest retries; only jobs whose output may be outdated
    batches: dict[str, BatchInfo | BatchOutput] = {}
    unfinished: set[str] = set()  # ids of unfinished jobs and batches
    unknown: set[str] = set()


def job_outputs(notebook: Mapping[str, Any]) -> Iterator[Data]:
    """Yield the data of every output that shows jobs or a batch."""
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


def is_complete(data: Data) -> bool:
    """Return True if all jobs of a saved output had ended, and all their images are in it."""
    markdown = text_of(data, "text/markdown")
    return all(map(has_ended, jobs_of(data))) and not (isinstance(markdown, str) and lacks_images(markdown))


def has_ended(key: Data) -> bool:
    """Return True if a job or batch had ended when it was saved."""
    status = key.get("status")
    return isinstance(status, str) and status in ENDS


def refreshed(data: Data, known: Known) -> Data | None:
    """Return the current data of an output; None if it is up to date, or if nothing is known."""
    fresh = _batch(data, known) if batch_of(data) else _jobs(data, known)
    if fresh is None or all(text_of(data, name) == fresh[name] for name in fresh if name != "text/plain"):
        return None  # the Markdown decides, as in a page
    return fresh


def text_of(data: Data, mime: str) -> Any:
    """Return a text of an output, which on disk may be a list of lines; other data unchanged."""
    value = data.get(mime)
    return "".join(map(str, value)) if mime in _TEXTS and isinstance(value, list) else value


def write(data: Data, fresh: Data, *, lines: bool) -> None:
    """Write fresh data into an output, and keep its order and form; ``lines``: form on disk."""
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
    return batch_bundle(now, unended=_kept_note(data, REST_NOT_WAITED_FOR))


def _jobs(data: Data, known: Known) -> Data | None:
    keys = jobs_of(data)
    jobs = [_as_page(known.jobs.get(key["id"]), key) for key in keys]
    if not any(jobs):
        return None
    if JOBS_MIME in data:
        return _side_by_side(data, keys, jobs)
    return bundle(jobs[0], unended=_kept_note(data, NOT_WAITED_FOR)) if jobs[0] else None


def _kept_note(data: Data, note: str) -> str:
    """Return the note of an executed notebook if the output has it; it is true until the end."""
    return note if note in str(text_of(data, "text/plain")) else ""


def _as_page(job: OutputSnapshot | None, key: Data) -> OutputSnapshot | None:
    if job is None or job.answer.status == "new":
        return None
    answer = job.answer
    if answer.status == "waiting":  # pages do not save the time of the next attempt either
        answer = msgspec.structs.replace(answer, error=None)
    return job._replace(model=key.get("model", job.model), answer=answer)


def _side_by_side(data: Data, keys: Sequence[Data], jobs: Sequence[OutputSnapshot | None]) -> Data | None:
    """Return the bundle of several jobs; the saved text of an unknown job stays.

    Returns:
        None if the saved text of an unknown job cannot be separated from the others.

    """
    models = [str(key.get("model", "")) for key in keys]
    markdown = plain = [""] * len(keys)
    if not all(jobs):
        saved = _sections(text_of(data, "text/markdown"), list(map(heading_markdown, models)))
        saved_plain = _sections(text_of(data, "text/plain"), list(map(heading_plain, models)))
        if saved is None or saved_plain is None:
            return None
        markdown, plain = saved, saved_plain
    parts = [job or SavedOutput(keys[i], markdown[i], plain[i]) for i, job in enumerate(jobs)]
    return bundle_of_several(parts, models=models, unended=_kept_note(data, NOT_WAITED_FOR))


def _sections(text: Any, headings: Sequence[str]) -> list[str] | None:
    """Return the text below each heading; None unless each heading occurs once, in this order."""
    lines = text.split("\n") if isinstance(text, str) else []
    at = [number for number, line in enumerate(lines) if line in headings]
    if [lines[number] for number in at] != list(headings) or at[:1] != [0]:
        return None
    # There is an empty line after a heading, and one before the next heading.
    ends = [*(number - 1 for number in at[1:]), len(lines)]
    return ["\n".join(lines[number + 2 : end]) for number, end in zip(at, ends, strict=True)]
