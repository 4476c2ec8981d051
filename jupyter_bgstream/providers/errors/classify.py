"""Classification of errors that providers report: by HTTP status, by the error's own names, then by its message."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from ..context_window import UNKNOWN, Length, is_too_long, length_of
from ..retry_after import retry_after, should_retry
from .redact import MAX_CHARACTERS

# Values of `code` or `type` of an error, where there is no HTTP status or it does not decide.
_CODES = (
    ("unauthorized", re.compile(r"invalid_api_key|api_key_|authentic|unauthorized|permission|forbidden", re.I)),
    (
        "model_not_found",
        re.compile(
            r"model_not_found|model_not_available|unknown_model|invalid_model|decommissioned|deploymentnotfound", re.I
        ),
    ),
    ("rate_limited", re.compile(r"rate_?limit|quota|too_many_requests|resource_exhausted|throttl", re.I)),
    (
        "bad_request",
        re.compile(
            r"invalid|bad_?request|content_filter|content_policy|badrequest|too_?large|billing|not_found"
            r"|failed_precondition|out_of_range",
            re.I,
        ),
    ),
)
# Errors that pass by themselves, and limits that only a payment lifts.
_TRANSIENT = re.compile(
    r"overloaded|server.?error|api_error|internal|unavailable|timeout|timed.?out|deadline|at capacity|rate.?limit", re.I
)
_UNPAID = re.compile(
    r"insufficient.?(quota|balance|credit|fund)|exceeded_current_quota|billing|payment|out of credit|credit balance",
    re.I,
)
_BAD_KEY = re.compile(r"invalid_api_key|api_key_(invalid|expired)", re.I)  # Google reports it with status 400
_UNSUPPORTED = re.compile(
    r"\b(?:image|audio|video|vision|file|multimodal)s?\b.{0,30}\b(?:is|are) not supported"
    r"|does not support (?:image|audio|video|vision|file|multimodal|tool)",
    re.I,
)
_TOO_LARGE = re.compile(r"too_large|payload size", re.I)
# Where only the message decides (400 or 404): xAI's for a key; DeepSeek's, Mistral's and OpenRouter's for a model.
_BAD_KEY_MESSAGE = re.compile(r"(incorrect|invalid) api key", re.I)
_NO_MODEL_MESSAGE = re.compile(r"model not exist|invalid model\b|not a valid model|no endpoints found for", re.I)
_NOT_FOUND = re.compile(r"not_found", re.I)
_DECISIVE = (401, 403, 429)  # HTTP statuses that never mean a context that is too long: rate limits count tokens too
_BUSY = (408, 409, 498)  # HTTP statuses of transient errors; 498 is Groq's, for too little capacity
_STATUS = re.compile(r"[45][0-9]{2}")
# Each in linear time: a page may consist of brackets only.
_TAG = re.compile(r"<[^<>]*>")
_HIDDEN = re.compile(r"<(?:script|style)\b", re.I)
_HIDDEN_END = re.compile(r"</(?:script|style)\b", re.I)


class Classified(NamedTuple):
    """A classified error."""

    code: str  # of PROTOCOL.md
    details: str  # the provider's own message, not yet redacted
    transient: bool = False
    retry_after: float | None = None  # seconds
    too_large: bool = False  # the request has too many bytes
    length: Length = UNKNOWN  # of a context that is too long


def classify_response(status: int, headers: Mapping[str, str], body: bytes) -> Classified:
    """Classify a response that is not a success. ``headers`` are looked up in lower case."""
    if 300 <= status < 400:
        return Classified(
            "bad_request",
            f"HTTP {status}, a redirect {_target(headers.get('location', ''))}. The key is not sent to other"
            " addresses; set base_url to the right one.",
        )
    payload = _unwrapped(_json(body))
    message = message_in(payload) if payload is not None else plain_text(body)
    names = _names(payload)
    details = f"HTTP {status}. {message}"
    if status not in _DECISIVE and is_too_long(names, message):
        return Classified("context_too_long", details, length=length_of(payload, message))
    wait = retry_after(headers, payload)
    transient = should_retry(headers)
    if transient is None:
        transient = _is_transient(status, names, message, wait)
    too_large = status == 413 or _is_too_large(names, message)
    return Classified(_code_of_status(status, names, message), details, transient, wait, too_large)


def classify_payload(payload: Any) -> Classified:
    """Classify an error inside a stream, or in JSON where a stream was requested."""
    payload = _unwrapped(payload)
    names = _names(payload)
    message = message_in(payload)
    wait = retry_after({}, payload)
    status = next((int(name) for name in names if _STATUS.fullmatch(name)), None)
    if status not in _DECISIVE and _code_of_names(names, "") != "rate_limited" and is_too_long(names, message):
        return Classified("context_too_long", message, length=length_of(payload, message))
    if status is not None:
        code, transient = _code_of_status(status, names, message), _is_transient(status, names, message, wait)
    else:
        code = _code_of_names(names, "provider_error")
        if code == "bad_request" and _is_missing_model(names, message):
            code = "model_not_found"
        passes = code == "provider_error" and _TRANSIENT.search(" ".join([*names, message[:MAX_CHARACTERS]]))
        transient = bool(passes or code == "rate_limited") and not _is_unpaid(names, message, wait)
    return Classified(code, message, transient, wait, _is_too_large(names, message))


def classify_body(body: bytes) -> Classified:
    """Classify a successful response without a single event: an error in JSON, another document, a login page."""
    payload = _json(body)
    if isinstance(payload, dict | list) and has_error(payload):
        return classify_payload(payload)
    kind = "It sent" if payload is None else "One JSON document instead of a stream"
    return Classified("malformed_stream", f"{kind}: {plain_text(body)}")


def has_error(payload: Any) -> bool:
    """Return whether a JSON value is ``{"error": …}``, ``{"object": "error"}``, or a list that begins with such."""
    while isinstance(payload, list) and payload:
        payload = payload[0]
    return isinstance(payload, dict) and (bool(payload.get("error")) or payload.get("object") == "error")


def is_error(payload: Any) -> bool:
    """Return whether a JSON value with no field of the format is an error, also without ``error``.

    Such are ``{"code", "message"}``, ``{"message", "type"}`` and ``{"detail"}``.
    """
    match payload:
        case {"detail": detail} if detail:
            return True
        case {"message": str() as message} if message:
            return any(payload.get(name) for name in ("code", "type", "status"))
    return has_error(payload)


def message_in(payload: Any) -> str:
    """Return the message in an error's JSON of any known shape; else the JSON itself."""
    try:
        return _message(payload)
    except RecursionError:
        return "The error is nested too deeply to be read."


def _message(payload: Any) -> str:
    match payload:
        case str():
            return payload
        case [first, *_]:
            return _message(first)
        case {"error": inner} if inner:
            return _message(inner)
        case {"message": str() as message} if message:
            # OpenRouter has the message of the service behind it in metadata.raw.
            raw = payload.get("metadata", {}).get("raw") if isinstance(payload.get("metadata"), dict) else None
            return f"{message}: {raw}" if isinstance(raw, str) else message
        case {"message": inner} | {"detail": inner} if inner:
            return _message(inner)
        case {"msg": str() as message}:  # a field's error in FastAPI's `detail`
            return message
        case None:
            return ""
    return msgspec.json.encode(payload).decode()


def _names(payload: Any) -> list[str]:
    # The values of code, type and status, innermost first, and Google's reasons.
    names: list[str] = []
    while True:
        match payload:
            case [first, *_]:
                payload = first
            case dict():
                own = [payload.get(field) for field in ("code", "type", "status")]
                details = payload.get("details")
                if isinstance(details, list):
                    own += [detail.get("reason") for detail in details if isinstance(detail, dict)]
                names[:0] = [str(name) for name in own if isinstance(name, str | int)]
                payload = payload.get("error")
            case _:
                return names


def _code_of_names(names: list[str], default: str) -> str:
    for code, pattern in _CODES:
        if any(pattern.search(name) for name in names):
            return code
    return default


def _code_of_status(status: int, names: list[str], message: str) -> str:
    if status in (401, 403):
        return "unauthorized"
    if status == 429:
        return "rate_limited"
    if _is_unsupported(status, message):
        return "bad_request"
    if status in _BUSY or status >= 500:
        return "provider_error"
    if any(_BAD_KEY.search(name) for name in names) or _BAD_KEY_MESSAGE.search(message[:MAX_CHARACTERS]):
        return "unauthorized"
    # Services differ: OpenAI has a code for it, Ollama and others only a message.
    if status == 404 and ("model_not_found" in names or "model" in message.lower()):
        return "model_not_found"
    named = _code_of_names(names, "") == "model_not_found" or _NO_MODEL_MESSAGE.search(message[:MAX_CHARACTERS])
    return "model_not_found" if named else "bad_request"


def _is_missing_model(names: list[str], message: str) -> bool:
    # Anthropic's not_found_error is about a model ("model: claude-x"), a file or a skill.
    return any(_NOT_FOUND.search(name) for name in names) and "model" in message[:MAX_CHARACTERS].lower()


def _is_too_large(names: list[str], message: str) -> bool:
    return any(_TOO_LARGE.search(name) for name in names) or bool(_TOO_LARGE.search(message[:MAX_CHARACTERS]))


def _is_unsupported(status: int, message: str) -> bool:
    # llama.cpp and others answer 500 to a request that will fail again.
    return status >= 500 and _UNSUPPORTED.search(message[:MAX_CHARACTERS]) is not None


def _is_transient(status: int, names: list[str], message: str, wait: float | None) -> bool:
    if _is_unsupported(status, message):
        return False
    if status == 429:
        return not _is_unpaid(names, message, wait)
    return status in _BUSY or status >= 500


def _is_unpaid(names: list[str], message: str, wait: float | None) -> bool:
    # Google mentions billing at every limit; a limit with a time to retry is not about a payment.
    return any(_UNPAID.search(name) for name in names) or (
        wait is None and bool(_UNPAID.search(message[:MAX_CHARACTERS]))
    )


def _unwrapped(payload: Any) -> Any:
    # Ollama passes on the error of the server behind it as a string of JSON.
    match payload:
        case {"error": str() as text} if text.lstrip().startswith("{"):
            inner = _json(text.encode())
            return inner if has_error(inner) else payload
    return payload


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _target(location: str) -> str:
    if not location:
        return "without an address"
    try:
        return f"to {urlsplit(location)._replace(query='', fragment='').geturl()}"
    except ValueError:
        return "to an address that cannot be read"


def plain_text(body: bytes) -> str:
    """Return the visible text of a page in one line."""
    text = _TAG.sub(" ", _visible(body.decode(errors="replace")))
    return " ".join(text.split())


def _visible(page: str) -> str:
    # Without scripts and styles; one that is never closed extends to the end.
    pieces, at = [], 0
    while (opened := _HIDDEN.search(page, at)) is not None:
        pieces.append(page[at : opened.start()])
        closed = _HIDDEN_END.search(page, opened.end())
        at = closed.start() if closed is not None else len(page)
    return "".join([*pieces, page[at:]])
