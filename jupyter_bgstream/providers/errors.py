"""What goes wrong at a provider, as one ProviderError: a code of PROTOCOL.md and a sentence that a user can act on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..core.errors import ProviderError
from .context_window import UNKNOWN, Asked, Length, is_too_long, length_of, sentence
from .redaction import LABEL_LENGTH, WORDS_READ, Redaction
from .retry_after import retry_after, should_retry

WORDS_LENGTH = 500  # characters of the provider's own words that are kept

_SENTENCES = {
    "missing_key": "{provider} needs a key. {key_ways}",
    "unauthorized": "{provider} refused the key. Check {key_source}.",
    "unreachable": "{provider} cannot be reached. Check the network, the proxy settings and the provider's base_url.",
    "tls_error": "The secure connection to {provider} failed. Check its base_url; if its certificate comes from an"
    " authority of your own, name that authority's file in SSL_CERT_FILE and restart the Jupyter server.",
    "model_not_found": "{provider} does not have the model {model!r}. Check the name, or choose another model.",
    "rate_limited": "{provider} limits how much may be asked, and the limit is reached. Wait a while, or check the"
    " plan and its quota, then retry.",
    "bad_request": "{provider} refused the request. Change what the details name, then submit it again.",
    "provider_error": "{provider} has a problem of its own. Retry in a while.",
    "malformed_stream": "{provider} did not answer with a stream of {format}. Check its format, its base_url (most"
    " end in /v1) and that nothing in between, such as a login page, changes the answer.",
    "answer_gone": "{provider} has forgotten the answer that it was to go on with. What came so far is kept; retry for"
    " a whole one.",
    "truncated": "The answer of {provider} broke off before its end. What came so far is kept; retry for a whole one.",
    "idle_timeout": "{provider} sent nothing for {seconds:g} s. Retry, or raise idle_timeout, of the job or of the"
    " provider.",
    "total_timeout": "{provider} was not done after {seconds:g} s. Ask for less, or raise its total_timeout.",
    "event_too_large": "{provider} sent a single event that is larger than this server takes (16 MiB). Ask for less.",
    "answer_too_long": "{provider} sent more than this server takes for one answer. What came so far is kept; ask for"
    " less.",
}

CODES = frozenset({*_SENTENCES, "context_too_long"})  # of what a provider may say of its failure

_TOO_LARGE_SENTENCE = (
    "{provider} does not take a request of this size. Shorten the prompt, begin a new thread, send fewer or smaller"
    " pictures, or choose a model that takes more."
)

# Words that services use as `code` or `type` of an error, where the HTTP status does not tell or is not there.
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
# What passes by itself, and what does not: a limit that only money lifts.
_PASSING = re.compile(
    r"overloaded|server.?error|api_error|internal|unavailable|timeout|timed.?out|deadline|at capacity|rate.?limit", re.I
)
_UNPAID = re.compile(
    r"insufficient.?(quota|balance|credit|fund)|exceeded_current_quota|billing|payment|out of credit|credit balance",
    re.I,
)
_BAD_KEY = re.compile(r"invalid_api_key|api_key_(invalid|expired)", re.I)  # Google says so with 400
_UNSUPPORTED = re.compile(
    r"\b(?:image|audio|video|vision|file|multimodal)s?\b.{0,30}\b(?:is|are) not supported"
    r"|does not support (?:image|audio|video|vision|file|multimodal|tool)",
    re.I,
)
_TOO_LARGE = re.compile(r"too_large|payload size", re.I)
# Where only the words tell: xAI's of a key, DeepSeek's, Mistral's and OpenRouter's of a model; all with 400 or 404.
_BAD_KEY_WORDS = re.compile(r"(incorrect|invalid) api key", re.I)
_NO_MODEL_WORDS = re.compile(r"model not exist|invalid model\b|not a valid model|no endpoints found for", re.I)
_NOT_FOUND = re.compile(r"not_found", re.I)
_OTHERWISE = (401, 403, 429)  # HTTP statuses that say what it is: a limit of rate speaks of tokens as well
_BUSY = (408, 409, 498)  # HTTP statuses that pass; 498 is Groq's, of too little capacity
_STATUS = re.compile(r"[45][0-9]{2}")
# Each in linear time: a page may be all brackets.
_TAG = re.compile(r"<[^<>]*>")
_NO_WORDS = re.compile(r"<(?:script|style)\b", re.I)
_WORDS_AGAIN = re.compile(r"</(?:script|style)\b", re.I)


class Faults:
    """Makes the errors of one call to one provider. No message holds a secret, whatever the provider echoes."""

    def __init__(
        self,
        provider: str,
        *,
        model: str = "",
        key_env: str | None = None,
        key_ways: str = "",
        key_source: str = "",
        secrets: tuple[str, ...] = (),
        format: str = "Chat Completions",
        asked: Asked | None = None,
    ) -> None:
        self._provider = provider
        self._model = model
        self._format = format
        self._asked = asked
        key = key_env or "its key (api_key_env)"
        self._key_ways = key_ways or f"Set {key} in the Jupyter server's environment, then restart it."
        self._key_source = key_source or f"{key} in the Jupyter server's environment, then restart it"
        self._redaction = Redaction(secrets)

    def error(
        self,
        code: str,
        words: str = "",
        *,
        seconds: float = 0,
        transient: bool = False,
        retry_after: float | None = None,
        too_large: bool = False,
        length: Length = UNKNOWN,
    ) -> ProviderError:
        """Return the error of a code of PROTOCOL.md, with words of the provider or of the operating system."""
        if code == "context_too_long":
            said = sentence(f"{self._provider}/{self._model}" if self._model else self._provider, self._asked, length)
        else:
            said = (_TOO_LARGE_SENTENCE if too_large and code == "bad_request" else _SENTENCES[code]).format(
                provider=self._provider,
                model=self._model,
                key_ways=self._key_ways,
                key_source=self._key_source,
                format=self._format,
                seconds=seconds,
            )
        words = " ".join(self._redaction(words).split())
        if len(words) > WORDS_LENGTH:
            words = words[: WORDS_LENGTH - 1] + "…"
        message = f"{said} Details: {words}" if words else said
        return ProviderError(message, code=code, transient=transient, retry_after=retry_after)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Return what an answer that is no success means. ``headers`` are looked up in lower case."""
        if 300 <= status < 400:
            return self.error(
                "bad_request",
                f"HTTP {status}, a redirect {_target(headers.get('location', ''))}; the key is not sent to other"
                " addresses, so set base_url to the right one.",
            )
        payload = _opened(_json(body))
        words = words_of(payload) if payload is not None else _plain(body)
        names = _names(payload)
        if status not in _OTHERWISE and is_too_long(names, words):
            error = self.too_long(f"HTTP {status}. {words}", length_of(payload, words))
            error.status = status
            return error
        wait = retry_after(headers, payload)
        transient = should_retry(headers)
        if transient is None:
            transient = _passes(status, names, words, wait)
        error = self.error(
            _code_of_status(status, names, words),
            f"HTTP {status}. {words}",
            transient=transient,
            retry_after=wait,
            too_large=status == 413 or _too_large(names, words),
        )
        error.status = status
        return error

    def in_stream(self, payload: Any) -> ProviderError:
        """Return the error that a provider reports inside a stream, or in JSON where a stream was asked for."""
        payload = _opened(payload)
        names = _names(payload)
        words = words_of(payload)
        wait = retry_after({}, payload)
        status = next((int(name) for name in names if _STATUS.fullmatch(name)), None)
        if status not in _OTHERWISE and _code_of_names(names, "") != "rate_limited" and is_too_long(names, words):
            return self.too_long(words, length_of(payload, words))
        if status is not None:
            code, transient = _code_of_status(status, names, words), _passes(status, names, words, wait)
        else:
            code = _code_of_names(names, "provider_error")
            if code == "bad_request" and _no_model(names, words):
                code = "model_not_found"
            passing = code == "provider_error" and _PASSING.search(" ".join([*names, words[:WORDS_READ]]))
            transient = bool(passing or code == "rate_limited") and not _unpaid(names, words, wait)
        return self.error(code, words, transient=transient, retry_after=wait, too_large=_too_large(names, words))

    def too_long(self, words: str = "", length: Length = UNKNOWN) -> ProviderError:
        """Return the error of a conversation that the model does not take; the same would be refused again."""
        return self.error("context_too_long", words, length=length)

    @property
    def window(self) -> int | None:
        """How many tokens the service was told to take, if it was."""
        return None if self._asked is None else self._asked.window

    def no_stream(self, body: bytes) -> ProviderError:
        """Return what a success that has no event means: an error in JSON, another document, a login page."""
        payload = _json(body)
        if isinstance(payload, dict | list) and has_error(payload):
            return self.in_stream(payload)
        if payload is not None:
            return self.error("malformed_stream", f"One JSON document instead of a stream: {_plain(body)}")
        return self.error("malformed_stream", f"It sent: {_plain(body)}")

    def broken_plugin(self, words: str) -> ProviderError:
        """Return what an exception in a plug-in means."""
        error = self.error("provider_error", words)
        sentence = f"The plug-in {self._provider} failed. Details: "
        return ProviderError(sentence + error.message.partition(" Details: ")[2], code=error.code)

    def redacted(self, words: str) -> str:
        """Return words without what is secret; the first WORDS_READ characters."""
        return self._redaction(words)

    def label(self, words: str, most: int = LABEL_LENGTH) -> str:
        """Return what a service calls something, without what is secret, as one line of bounded length."""
        return self._redaction.label(words, most)

    def is_clean(self, words: str) -> bool:
        """Whether a service's own name for something may be kept as it is."""
        return self._redaction.label(words) == words


def _target(location: str) -> str:
    if not location:
        return "without an address"
    try:
        return f"to {urlsplit(location)._replace(query='', fragment='').geturl()}"
    except ValueError:
        return "to an address that cannot be read"


def has_error(payload: Any) -> bool:
    """Whether a JSON value reports an error: ``{"error": …}``, ``{"object": "error"}``, or a list that begins so."""
    while isinstance(payload, list) and payload:
        payload = payload[0]
    return isinstance(payload, dict) and (bool(payload.get("error")) or payload.get("object") == "error")


def is_report(payload: Any) -> bool:
    """Return whether a JSON value that has nothing of the format reports an error, also without ``error``.

    Such are ``{"code", "message"}``, ``{"message", "type"}`` and ``{"detail"}``.
    """
    match payload:
        case {"detail": detail} if detail:
            return True
        case {"message": str() as words} if words:
            return any(payload.get(name) for name in ("code", "type", "status"))
    return has_error(payload)


def words_of(payload: Any) -> str:
    """Return the sentence in an error's JSON, in whatever shape it comes; the JSON itself if there is none."""
    try:
        return _words(payload)
    except RecursionError:
        return "The error is nested too deeply to be read."


def _words(payload: Any) -> str:
    match payload:
        case str():
            return payload
        case [first, *_]:
            return _words(first)
        case {"error": inner} if inner:
            return _words(inner)
        case {"message": str() as words} if words:
            # OpenRouter keeps the words of the service behind it in metadata.raw.
            raw = payload.get("metadata", {}).get("raw") if isinstance(payload.get("metadata"), dict) else None
            return f"{words}: {raw}" if isinstance(raw, str) else words
        case {"message": inner} | {"detail": inner} if inner:
            return _words(inner)
        case {"msg": str() as words}:  # a field's error in FastAPI's `detail`
            return words
        case None:
            return ""
    return msgspec.json.encode(payload).decode()


def _names(payload: Any) -> list[str]:
    # What an error calls itself: the values of code, type and status, inside out, and Google's reasons for it.
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


def _code_of_status(status: int, names: list[str], words: str) -> str:
    if status in (401, 403):
        return "unauthorized"
    if status == 429:
        return "rate_limited"
    if _is_asked_wrong(status, words):
        return "bad_request"
    if status in _BUSY or status >= 500:
        return "provider_error"
    if any(_BAD_KEY.search(name) for name in names) or _BAD_KEY_WORDS.search(words[:WORDS_READ]):
        return "unauthorized"
    # Services differ in how they say it: OpenAI by its code, Ollama and others only by their words.
    if status == 404 and ("model_not_found" in names or "model" in words.lower()):
        return "model_not_found"
    named = _code_of_names(names, "") == "model_not_found" or _NO_MODEL_WORDS.search(words[:WORDS_READ])
    return "model_not_found" if named else "bad_request"


def _no_model(names: list[str], words: str) -> bool:
    # Anthropic's not_found_error is of a model, "model: claude-x", or of a file or a skill.
    return any(_NOT_FOUND.search(name) for name in names) and "model" in words[:WORDS_READ].lower()


def _too_large(names: list[str], words: str) -> bool:
    return any(_TOO_LARGE.search(name) for name in names) or bool(_TOO_LARGE.search(words[:WORDS_READ]))


def _is_asked_wrong(status: int, words: str) -> bool:
    # llama.cpp and others say with 500 what the same request will hear again.
    return status >= 500 and _UNSUPPORTED.search(words[:WORDS_READ]) is not None


def _passes(status: int, names: list[str], words: str, wait: float | None) -> bool:
    if _is_asked_wrong(status, words):
        return False
    if status == 429:
        return not _unpaid(names, words, wait)
    return status in _BUSY or status >= 500


def _unpaid(names: list[str], words: str, wait: float | None) -> bool:
    # Google speaks of billing at every limit; but who says when to come again means it.
    return any(_UNPAID.search(name) for name in names) or (wait is None and bool(_UNPAID.search(words[:WORDS_READ])))


def _opened(payload: Any) -> Any:
    # Ollama hands the error of the server behind it on as a string of JSON.
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


def _plain(body: bytes) -> str:
    text = _TAG.sub(" ", _spoken(body.decode(errors="replace")))
    return " ".join(text.split())


def _spoken(page: str) -> str:
    # Without its scripts and styles; what opens one and never closes it is one to the end.
    pieces, at = [], 0
    while (opened := _NO_WORDS.search(page, at)) is not None:
        pieces.append(page[at : opened.start()])
        closed = _WORDS_AGAIN.search(page, opened.end())
        at = closed.start() if closed is not None else len(page)
    return "".join([*pieces, page[at:]])
