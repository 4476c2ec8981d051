"""Default model: chooses the model of jobs that name none, where the config names none either."""

import asyncio
import re
from collections.abc import Mapping, Sequence

import msgspec

from .http_provider import HTTPProvider
from .port import Default
from .provider_settings import ProviderSettings
from .status_cache import StatusCache
from .transport import is_local

LOCAL_SECONDS = 1.5  # for all local servers together
HUB_USER = "JUPYTERHUB_USER"

_NO_CHAT = re.compile(r"embed|minilm|rerank|whisper|tts|moderation", re.I)  # names of models that cannot chat


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of a possible default model."""

    provider: HTTPProvider
    endpoint: ProviderSettings
    configured: bool  # whether the config or the environment names it; else it is only probed


async def choose_default(
    candidates: Sequence[Candidate], cache: StatusCache, environ: Mapping[str, str]
) -> Default | None:
    """Return the default model: of the first provider with a key, else of the first local server that answers."""
    keyed = _up_to_certain([each for each in candidates if _own_default(each.endpoint) and each.provider.wants_key])
    # All at once: a locked keyring delays each of them.
    found = await asyncio.gather(*(candidate.provider.has_key() for candidate in keyed))
    for candidate, has_key in zip(keyed, found, strict=True):
        if has_key:
            name, model = candidate.provider.name, _own_default(candidate.endpoint)
            return Default(model=f"{name}/{model}", why=f"{name} is the first provider that has a key.")
    return await _local_default([candidate for candidate in candidates if _may_be_probed(candidate, environ)], cache)


def _up_to_certain(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    # No key is looked up for a provider that cannot be the first with one.
    end = next((n for n, candidate in enumerate(candidates, 1) if candidate.provider.key_at_hand), len(candidates))
    return candidates[:end]


def _own_default(endpoint: ProviderSettings) -> str | None:
    return endpoint.default_model or next(iter(endpoint.models), None)


def _may_be_probed(candidate: Candidate, environ: Mapping[str, str]) -> bool:
    if candidate.provider.wants_key:
        return False
    # On a shared machine another user's process may listen at a port that nothing has configured.
    return candidate.configured or (is_local(candidate.endpoint.base_url) and HUB_USER not in environ)


async def _local_default(candidates: Sequence[Candidate], cache: StatusCache) -> Default | None:
    names = [candidate.provider.name for candidate in candidates]
    found = await cache.get(names, seconds=LOCAL_SECONDS)
    for candidate, status in zip(candidates, found, strict=True):
        if status.error is not None:
            continue
        if (own := candidate.endpoint.default_model) is not None:
            model = f"{status.name}/{own}"
        else:
            chat_models = [model for model in status.models if not _NO_CHAT.search(model)]
            model = next(iter(chat_models), "")
        if model:
            return Default(
                model=model, why=f"No provider has a key; {status.name} is the first local server that answers."
            )
    return None
