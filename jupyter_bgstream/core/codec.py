"""JSON encoding and decoding of events and requests. See PROTOCOL.md."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from .errors import InvalidRequestError
from .events import Event

PROTOCOL_VERSION = 2

BUNDLE_MIME = "application/vnd.bgstream.job.v1+json"
JOBS_MIME = "application/vnd.bgstream.jobs.v1+json"
BATCH_MIME = "application/vnd.bgstream.batch.v1+json"

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_events_decoder: msgspec.json.Decoder[list[Event]] = msgspec.json.Decoder(list[Event])


def encode(value: object) -> bytes:
    """Encode a value of this package as JSON."""
    return _encoder.encode(value)


def stamped(body: bytes, *, seq: int, attempt: int) -> bytes:
    """Return an encoded event with its position in the log. From here on its bytes never change."""
    return b'{"seq":%d,"attempt":%d,%b' % (seq, attempt, body[1:])


def decode_event(data: bytes) -> Event:
    """Decode one stored event."""
    return _event_decoder.decode(data)


def decode_events(events: Iterable[bytes]) -> list[Event]:
    """Decode stored events in one pass."""
    return _events_decoder.decode(json_array(events))


def json_array(items: Iterable[bytes]) -> bytes:
    """Join encoded values to an array without changing their bytes."""
    return b"[" + b",".join(items) + b"]"


def decode_request(data: bytes, type_: type[T]) -> T:
    """Decode the body of a request.

    Raises:
        InvalidRequestError: The body is not JSON, or a field is wrong; names the field.

    """
    try:
        return msgspec.json.decode(data or b"{}", type=type_)
    except msgspec.ValidationError as error:
        problem, field = _problem_and_field(str(error))
        raise InvalidRequestError(
            f"The field {field!r} is wrong: {problem}." if field else f"The body is wrong: {problem}.", field=field
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequestError("The body is nested too deeply.") from None


def _problem_and_field(message: str) -> tuple[str, str | None]:
    # msgspec writes "Expected `str`, got `int` - at `$.messages[0].content`" or "Object contains unknown field `x`".
    problem, _, path = message.partition(" - at ")
    field = path.strip("`").removeprefix("$").removeprefix(".") or None
    if "field `" in problem:
        name = problem.rpartition("field `")[2].strip("`")
        field = f"{field}.{name}" if field else name
    return problem.replace("`", ""), field
