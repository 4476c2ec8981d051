"""Chooses the model of a job that names none, where the config names none either."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

import msgspec

from .base import Default
from .endpoint import Endpoint
from .http_provider import HTTPProvider
from .status_cache import StatusCache
from .transport import is_local

LOCAL_SECONDS = 1.5  # that local servers have to answer, all together
HUB_USER = "JUPYTERHUB_USER"

_NO_CHAT = re.compile(r"embed|minilm|rerank|whisper|tts|moderation", re.I)  # names of models that answer nothing


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A service that may give the default model."""

    service: HTTPProvider
    endpoint: Endpoint
    meant: bool  # whether the config or the environment names it; else it is only there to be tried


async def choose(candidates: Sequence[Candidate], asking: StatusCache, environ: Mapping[str, str]) -> Default | None:
    """Return the default by rule, or None if nothing can be asked."""
    asked = _until_one_is_sure([each for each in candidates if _own_default(each.endpoint) and each.service.wants_key])
    # All at once: a keyring that is locked has each of them wait.
    found = await asyncio.gather(*(candidate.service.has_key() for candidate in asked))
    for candidate, has_key in zip(asked, found, strict=True):
        if has_key:
            name, model = candidate.service.name, _own_default(candidate.endpoint)
            return Default(model=f"{name}/{model}", why=f"{name} is the first provider that has a key.")
    return await _local([candidate for candidate in candidates if _may_be_tried(candidate, environ)], asking)


def _until_one_is_sure(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    # Nobody is asked for the key of a provider that cannot be the first with one.
    sure = next((n for n, candidate in enumerate(candidates, 1) if candidate.service.key_at_hand), len(candidates))
    return candidates[:sure]


def _own_default(endpoint: Endpoint) -> str | None:
    return endpoint.default_model or next(iter(endpoint.models), None)


def _may_be_tried(candidate: Candidate, environ: Mapping[str, str]) -> bool:
    if candidate.service.wants_key:
        return False
    # Where many people share a machine, whoever listens at a port that nobody named may be anybody.
    return candidate.meant or (is_local(candidate.endpoint.base_url) and HUB_USER not in environ)


async def _local(candidates: Sequence[Candidate], asking: StatusCache) -> Default | None:
    names = [candidate.service.name for candidate in candidates]
    found = await asking.some(names, seconds=LOCAL_SECONDS)
    for candidate, status in zip(candidates, found, strict=True):
        if status.error is not None:
            continue
        if (own := candidate.endpoint.default_model) is not None:
            model = f"{status.name}/{own}"
        else:
            talking = [model for model in status.models if not _NO_CHAT.search(model)]
            model = next(iter(talking), "")
        if model:
            return Default(
                model=model, why=f"No provider has a key; {status.name} is the first local server that answers."
            )
    return None
