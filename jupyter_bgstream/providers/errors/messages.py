"""Error messages: one sentence per code of PROTOCOL.md, with the provider's own message as redacted details."""

from collections.abc import Mapping
from typing import Any

from ...core.errors import ProviderError
from ..context_window import UNKNOWN, Length, RequestSize, too_long_message
from .classify import Classified, classify_body, classify_payload, classify_response
from .redact import LABEL_LENGTH, Redactor

DETAILS_LENGTH = 500  # characters of the provider's own message that are included

_SENTENCES = {
    "missing_key": "{provider} needs a key. {key_ways}",
    "unauthorized": "{provider} refused the key. Check {key_source}.",
    "unreachable": "{provider} cannot be reached. Check the network, the proxy settings and the provider's base_url.",
    "tls_error": "The secure connection to {provider} failed. Check its base_url. If its certificate is signed by a"
    " private authority, set SSL_CERT_FILE to that authority's file and restart the Jupyter server.",
    "model_not_found": "{provider} does not have the model {model!r}. Check the name, or choose another model.",
    "rate_limited": "{provider} limits requests, and the limit is reached. Wait a while, or check the plan and its"
    " quota, then retry.",
    "bad_request": "{provider} refused the request. Change what the details name, then submit it again.",
    "provider_error": "{provider} returned a server error. Try again later.",
    "malformed_stream": "{provider} did not answer with a stream of {format}. Check its format, its base_url (most"
    " end in /v1) and that nothing between, such as a login page, changes the response.",
    "answer_gone": "{provider} no longer has this response, so it cannot be resumed. The text so far is saved; retry"
    " for a complete answer.",
    "truncated": "The response of {provider} broke off before its end. The text so far is saved; retry for a complete"
    " answer.",
    "idle_timeout": "{provider} sent nothing for {seconds:g} s. Retry, or raise idle_timeout of the job or of the"
    " provider.",
    "total_timeout": "{provider} did not finish within {seconds:g} s. Request a shorter answer, or raise the"
    " provider's total_timeout.",
    "event_too_large": "{provider} sent an event larger than this server accepts (16 MiB). Request a shorter answer.",
    "answer_too_long": "{provider} sent more than this server accepts for one answer. The text so far is saved;"
    " request a shorter answer.",
}

CODES = frozenset({*_SENTENCES, "context_too_long"})  # that a provider may report

_TOO_LARGE_SENTENCE = (
    "{provider} does not accept a request of this size. Shorten the prompt, start a new thread, send fewer or smaller"
    " images, or choose a model that accepts more."
)


class ErrorBuilder:
    """Builds the errors of one call to one provider. No message holds a secret, even if the provider echoes one."""

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
        size: RequestSize | None = None,
    ) -> None:
        self._provider = provider
        self._model = model
        self._format = format
        self._size = size
        key = key_env or "its key (api_key_env)"
        self._key_ways = key_ways or f"Set {key} in the Jupyter server's environment, then restart it."
        self._key_source = key_source or f"{key} in the Jupyter server's environment, then restart it"
        self._redactor = Redactor(secrets)

    def error(
        self,
        code: str,
        details: str = "",
        *,
        seconds: float = 0,
        transient: bool = False,
        retry_after: float | None = None,
        too_large: bool = False,
        length: Length = UNKNOWN,
    ) -> ProviderError:
        """Return the error of a code, with details from the provider or the operating system."""
        if code == "context_too_long":
            model = f"{self._provider}/{self._model}" if self._model else self._provider
            message = too_long_message(model, self._size, length)
        else:
            message = (_TOO_LARGE_SENTENCE if too_large and code == "bad_request" else _SENTENCES[code]).format(
                provider=self._provider,
                model=self._model,
                key_ways=self._key_ways,
                key_source=self._key_source,
                format=self._format,
                seconds=seconds,
            )
        details = " ".join(self._redactor(details).split())
        if len(details) > DETAILS_LENGTH:
            details = details[: DETAILS_LENGTH - 1] + "…"
        if details:
            message = f"{message} Details: {details}"
        return ProviderError(message, code=code, transient=transient, retry_after=retry_after)

    def response_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Return the error of a response that is not a success. ``headers`` are looked up in lower case."""
        error = self._error(classify_response(status, headers, body))
        if status >= 400:
            error.status = status
        return error

    def payload_error(self, payload: Any) -> ProviderError:
        """Return the error that a provider reports inside a stream, or in JSON where a stream was requested."""
        return self._error(classify_payload(payload))

    def no_stream_error(self, body: bytes) -> ProviderError:
        """Return the error of a successful response that has no event."""
        return self._error(classify_body(body))

    def too_long(self, details: str = "", length: Length = UNKNOWN) -> ProviderError:
        """Return the error of a conversation that is too long for the model."""
        return self.error("context_too_long", details, length=length)

    def plugin_error(self, details: str) -> ProviderError:
        """Return the error of an exception in a plug-in."""
        error = self.error("provider_error", details)
        prefix = f"The plug-in {self._provider} failed. Details: "
        return ProviderError(prefix + error.message.partition(" Details: ")[2], code=error.code)

    @property
    def window(self) -> int | None:
        """The context window that the job requests of the provider, in tokens, if any."""
        return None if self._size is None else self._size.window

    def redacted(self, text: str) -> str:
        """Return the first MAX_CHARACTERS of a text without secrets."""
        return self._redactor(text)

    def label(self, text: str, max_length: int = LABEL_LENGTH) -> str:
        """Return a provider's name for something without secrets, as one line of bounded length."""
        return self._redactor.label(text, max_length)

    def is_clean(self, name: str) -> bool:
        """Return whether a provider's name for something needs no redaction."""
        return self._redactor.label(name) == name

    def _error(self, found: Classified) -> ProviderError:
        return self.error(**found._asdict())
