"""Limits of a request, beyond its types."""

from collections.abc import Iterable

from .attachment_checks import check_attachments
from .errors import InvalidRequestError
from .forbidden_parameters import check_params
from .job import JobSpec
from .tool_call_checks import check_tool_turns

MAX_BODY = 32 * 1024 * 1024  # bytes of a request body, which contains images and files


def check_spec(spec: JobSpec, *, aliases: Iterable[str] = ()) -> None:
    """Check a request before it is stored.

    Args:
        spec: The request.
        aliases: The configured model aliases, for the error message.

    Raises:
        InvalidRequestError: No provider could answer it, or it has settings that a notebook must not set.
    """
    provider, slash, name = spec.model.partition("/")
    if not (provider and slash and name):
        instead = f", or one of the aliases {', '.join(aliases)}" if aliases else ""
        sentence = f"{spec.model!r} is not a model: write provider/name, such as openai/gpt-6-luna{instead}."
        raise InvalidRequestError(sentence, field="model")
    if not any(message.text.strip() or message.attachments or message.tool_call_id for message in spec.messages):
        raise InvalidRequestError("There is nothing to ask: every message is empty.", field="messages")
    check_attachments(spec.messages)
    check_tool_turns(spec.messages, in_thread=spec.thread is not None)
    check_params(spec.params)
