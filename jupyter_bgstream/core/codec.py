"""Wire forms: events, jobs and notices in JSON, as REST, the socket and the database have them. See PROTOCOL.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import msgspec

from .batches import BatchItem, Progress
from .errors import InvalidRequestError
from .events import Event, Image, Usage
from .job import Job
from .messages import AudioPart, FilePart, ImagePart, Message, TextPart
from .notices import Notice
from .state import Answer

PROTOCOL_VERSION = 1

BUNDLE_MIME = "application/vnd.bgstream.job.v1+json"
JOBS_MIME = "application/vnd.bgstream.jobs.v1+json"
BATCH_MIME = "application/vnd.bgstream.batch.v1+json"

Kind = Literal["jupyter", "serve"]  # of a server: a person's Jupyter, or ``jupyter bgstream serve``

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_events_decoder: msgspec.json.Decoder[list[Event]] = msgspec.json.Decoder(list[Event])


def encode(value: object) -> bytes:
    """Encode any value of this package as JSON."""
    return _encoder.encode(value)


def stamped(body: bytes, *, seq: int, attempt: int) -> bytes:
    """Give an encoded, unnumbered event its place in the log. From here on its bytes never change."""
    return b'{"seq":%d,"attempt":%d,%b' % (seq, attempt, body[1:])


def decode_event(data: bytes) -> Event:
    """Decode one stored event."""
    return _event_decoder.decode(data)


def decode_events(events: Iterable[bytes]) -> list[Event]:
    """Decode stored events, in one pass."""
    return _events_decoder.decode(json_array(events))


def json_array(items: Iterable[bytes]) -> bytes:
    """Join encoded values to an array without touching their bytes."""
    return b"[" + b",".join(items) + b"]"


def job_form(job: Job) -> dict[str, Any]:
    """Return a job as lists show it, without its text."""
    spec = job.spec
    return {
        "id": job.id,
        "status": job.status,
        "model": spec.model,
        "title": spec.title,
        "preview": job.preview,
        "thread": job.thread,
        "group": spec.group,
        "tags": spec.tags,
        "priority": spec.priority,
        "on_restart": spec.on_restart,
        "retries": spec.retries,
        "source": spec.source,
        "submitted_by": job.submitted_by,
        "attempt": job.attempt,
        "cursor": str(job.cursor),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "not_before": job.not_before,
        "usage": _counts(job.usage),
        "cost": job.paid,
        "finish_reason": job.finish_reason,
        "error": job.error,
        "retry_of": job.retry_of,
        "retried_by": job.retried_by,
    }


def answer_form(answer: Answer) -> dict[str, Any]:
    """Return a viewer's state, the same that `fold.ts` keeps."""
    return {
        "status": answer.status,
        "seq": answer.seq,
        "attempt": answer.attempt,
        "text": answer.text,
        "reasoning": answer.reasoning,
        "sources": [{"url": source.url, "title": source.title} for source in answer.sources],
        "tool_calls": [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in answer.tool_calls],
        "images": [image_form(image) for image in answer.images],
        "usage": _counts(answer.usage),
        "cost": answer.cost,
        "finish_reason": answer.finish_reason,
        "error": answer.error,
        "not_before": answer.not_before,
        "earlier": answer.earlier,
    }


def job_with_answer(job: Job, answer: Answer) -> dict[str, Any]:
    """Return a job with what it was asked and what it has answered so far."""
    said = answer_form(answer)
    return (
        job_form(job)
        | {"messages": [message_form(message) for message in job.spec.messages], "params": job.spec.params}
        | {name: said[name] for name in ("text", "reasoning", "sources", "tool_calls", "images", "earlier")}
    )


def image_form(image: Image) -> dict[str, Any]:
    """Return a picture of an answer without its file."""
    return {"id": image.id, "media_type": image.media_type, "bytes": image.bytes}


def message_form(message: Message) -> dict[str, Any]:
    """Return a message as viewers see it: of pictures and files only what they are, since every open page asks."""
    form: dict[str, Any] = {"role": message.role, "content": message.content}
    if not isinstance(message.content, str):
        form["content"] = [part if isinstance(part, TextPart) else _described(part) for part in message.content]
    if message.tool_calls:
        form["tool_calls"] = message.tool_calls
    if message.tool_call_id is not None:
        form["tool_call_id"] = message.tool_call_id
    return form


def _described(part: ImagePart | FilePart | AudioPart) -> dict[str, Any]:
    described: dict[str, Any] = msgspec.to_builtins(part, builtin_types=(bytes,))
    return {name: value for name, value in described.items() if name != "data"} | {"bytes": len(part.data)}


def _counts(usage: Usage | None) -> dict[str, float | None] | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost": usage.cost,
        "cost_estimated": usage.cost_estimated,
    }


def notice_form(notice: Notice) -> dict[str, Any]:
    """Return a notice as the inbox shows it."""
    return {field: getattr(notice, field) for field in notice.__struct_fields__ if field != "owner"}


def group_form(progress: Progress) -> dict[str, Any]:
    """Return a group with how far it is."""
    group = progress.group
    return {
        "id": group.id,
        "status": group.status,
        "title": group.spec.title,
        "total": group.total,
        "submitted": group.submitted,
        "queued": progress.queued,
        "running": progress.running,
        "waiting": progress.waiting,
        "counts": group.counts,
        "usage": {"input_tokens": group.taken.input_tokens, "output_tokens": group.taken.output_tokens},
        "cost": group.taken.cost,
        "concurrency": group.spec.concurrency,
        "paused": group.paused,
        "source": group.spec.source,
        "created_at": group.created_at,
        "started_at": group.started_at,
        "ended_at": group.ended_at,
    }


def placed_form(place: BatchItem) -> dict[str, Any]:
    """Return what a place of a group has answered."""
    job = place.job
    return {
        "id": job.id,
        "root": job.root or job.id,
        "status": job.status,
        "text": place.text,
        "finish_reason": job.finish_reason,
        "error": job.error,
        "usage": _counts(job.usage),
        "cost": job.paid,
        "images": [image_form(image) for image in place.images],
    }


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """A server's runtime file: how a kernel finds and opens it."""

    url: str  # ends in / and includes the base URL
    token: str  # opens this API alone
    version: str  # of jupyter_bgstream
    protocol: int
    server: str  # id of the running server
    pid: int
    kind: Kind = "jupyter"  # as in files of versions that did not say


def decode_request(data: bytes, form: type[T]) -> T:
    """Decode a request's body; raises InvalidRequestError with the field's name and what is wrong with it."""
    try:
        return msgspec.json.decode(data or b"{}", type=form)
    except msgspec.ValidationError as error:
        what, field = _located(str(error))
        raise InvalidRequestError(
            f"The field {field!r} is wrong: {what}." if field else f"The body is wrong: {what}.", field=field
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequestError("The body is nested too deeply.") from None


def _located(message: str) -> tuple[str, str | None]:
    # msgspec says "Expected `str`, got `int` - at `$.messages[0].content`" or "Object contains unknown field `x`".
    what, _, path = message.partition(" - at ")
    field = path.strip("`").removeprefix("$").removeprefix(".") or None
    if "field `" in what:
        name = what.rpartition("field `")[2].strip("`")
        field = f"{field}.{name}" if field else name
    return what.replace("`", ""), field
