"""A job's parameters: standard ones, which each service names differently, and others, which are passed on."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from .errors import ErrorBuilder

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

# Fields that the job itself or the server's configuration sets.
_RESERVED = ("model", "messages", "stream", "prompt", "input", "contents")


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of one job; None if not given."""

    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None  # of the answer, reasoning included
    stop: str | list[str] | None = None  # where the answer ends
    seed: int | None = None
    reasoning_effort: Effort | None = None
    schema: dict[str, Any] | None = None  # JSON schema of the answer
    rest: dict[str, Any] = {}  # other parameters, passed on as they are

    @property
    def stops(self) -> list[str] | None:
        """``stop`` as a list."""
        return [self.stop] if isinstance(self.stop, str) else self.stop


STANDARD = tuple(name for name in Params.__struct_fields__ if name != "rest")


def read_params(params: dict[str, Any], errors: ErrorBuilder) -> Params:
    """Return a job's parameters; raise ProviderError (``bad_request``) for invalid ones."""
    if clash := [name for name in _RESERVED if name in params]:
        raise errors.error("bad_request", f"params must not set {', '.join(clash)}: the job itself does.")
    params = _with_extra_body(params, errors)
    known = {name: value for name, value in params.items() if name in STANDARD}
    rest = {name: value for name, value in params.items() if name not in STANDARD}
    try:
        return msgspec.convert(known | {"rest": rest}, Params)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at ")
        raise errors.error("bad_request", f"params: {where.strip('`').removeprefix('$.')}: {problem}.") from None


def _with_extra_body(params: dict[str, Any], errors: ErrorBuilder) -> dict[str, Any]:
    # OpenAI's SDK merges extra_body into the request; code that is migrated from it has fields of other services there.
    params = dict(params)
    extra = params.pop("extra_body", None)
    if extra is None:
        return params
    if not isinstance(extra, dict):
        raise errors.error("bad_request", "params: extra_body must be an object with further fields of the request.")
    if clash := [name for name in (*_RESERVED, "background", "extra_body") if name in extra]:
        raise errors.error("bad_request", f"extra_body must not set {', '.join(clash)}: the job itself does.")
    return joined(params, extra, errors)


def joined(body: dict[str, Any], rest: dict[str, Any], errors: ErrorBuilder) -> dict[str, Any]:
    """Return a body merged with the parameters that are passed on; objects are merged field by field.

    Raises ProviderError (``bad_request``) if a field has two values, such as ``max_tokens: 100`` beside a service's own
    ``max_output_tokens: 200``.
    """
    return _joined(body, rest, (), errors)


def reject_params(params: Params, names: Iterable[str], service: str, errors: ErrorBuilder) -> None:
    """Raise ProviderError (``bad_request``) if parameters are given that a service does not support."""
    if given := [name for name in names if getattr(params, name) is not None]:
        raise errors.error("bad_request", f"{service} has no {' and no '.join(given)}; remove it from params.")


def same(params: dict[str, Any], name: str, value: Any, others: Iterable[str], errors: ErrorBuilder) -> dict[str, Any]:
    """Return params without the other names of a given parameter.

    Raises ProviderError (``bad_request``) if one of them has another value.
    """
    rest = dict(params)
    for other in others if value is not None else ():
        if rest.get(other, value) != value:
            raise errors.error(
                "bad_request",
                f"params contradict each other: {name} is {value!r:.80}, and {other} {rest[other]!r:.80}.",
            )
        rest.pop(other, None)
    return rest


def _joined(body: dict[str, Any], rest: dict[str, Any], at: tuple[str, ...], errors: ErrorBuilder) -> dict[str, Any]:
    result = dict(body)
    for name, value in rest.items():
        if name not in body or body[name] == value:
            result[name] = value
        elif isinstance(body[name], dict) and isinstance(value, dict):
            result[name] = _joined(body[name], value, (*at, name), errors)
        else:
            field = ".".join((*at, name))
            raise errors.error(
                "bad_request",
                f"params contradict each other: {field} is {value!r:.80}, and {body[name]!r:.80} under another name.",
            )
    return result
