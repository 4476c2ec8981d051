"""List prices and context windows of models, from ``genai-prices``.

That library and its list take some 100 ms to import and 15 MB of memory, so it is imported for the first estimate, in a
thread of the caller. It sends no request: the list is that of the installed version.
"""

import gc
import importlib.util
import ipaddress
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..core.events import Usage

# Names of built-in providers in the list, which has other names or addresses for some. A name that is not here is a
# user's own, and only its address identifies the service.
NAMES = {
    "anthropic": "anthropic",
    "azure": "azure",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "gemini": "google",
    "google": "google",
    "groq": "groq",
    "mistral": "mistral",
    "moonshot": "moonshotai",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "xai": "x-ai",
}
COMPILE_SECONDS = 20.0

_LIBRARY = "genai_prices"
_import_lock = threading.Lock()
_log = logging.getLogger(__name__)


def priced(usage: Usage, *, provider: str, model: str, base_url: str) -> Usage:
    """Return the usage with its cost in USD: the provider's own figure if there is one, else an estimate.

    It stays without a cost for an unknown model, a service of this machine or network, or missing counts. Never raises.
    """
    if usage.cost is not None or usage.input_tokens is None or usage.output_tokens is None or is_local(base_url):
        return usage
    try:
        cost = _estimate(usage, provider, model.removeprefix("models/"), base_url)
    except Exception:  # an error in a price list must not fail an answer
        _log.warning("the cost of an answer of %s/%s cannot be estimated", provider, model, exc_info=True)
        return usage
    # The list has models without a price, and does not distinguish free from unknown.
    return msgspec.structs.replace(usage, cost=cost, cost_estimated=True) if cost else usage


def context_window(model: str, base_url: str) -> int | None:
    """Return a model's context window in tokens, if the list has this very model of this very service.

    Call it in a thread, like ``priced``. Never raises.
    """
    name = model.removeprefix("models/").lower()
    try:
        _, found = _library().data_snapshot.get_snapshot().find_provider_model(name, None, None, base_url)
        window = found.context_window
        exact = name == found.id.lower() or _equals(found.match, name)
    except LookupError:
        return None
    except Exception:
        _log.warning("the context of %s cannot be looked up", model, exc_info=True)
        return None
    return window if exact and isinstance(window, int) and window > 0 else None


def _equals(clause: Any, name: str) -> bool:
    # Other clauses match by a prefix or a part, and so match later models too.
    if (exact := getattr(clause, "equals", None)) is not None:
        return str(exact).lower() == name
    return any(_equals(each, name) for each in getattr(clause, "or_", ()))


def is_local(base_url: str) -> bool:
    """Return whether a service is on this machine or in a private network, where list prices do not apply."""
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal", ".lan"))


def _estimate(usage: Usage, provider: str, model: str, base_url: str) -> float | None:
    prices = _library()
    counts = prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    # By name if the address is unknown, such as that of a gateway.
    for where in ({"provider_api_url": base_url}, {"provider_id": NAMES.get(provider)}):
        if all(where.values()):
            with suppress(LookupError):
                return float(prices.calc_price(counts, model, **where).total_price)
    return None


def _library() -> Any:
    with _import_lock:
        if f"{_LIBRARY}.data" not in sys.modules:
            _compile()
            with _gc_disabled():
                importlib.import_module(f"{_LIBRARY}.data")
        return importlib.import_module(_LIBRARY)


@contextmanager
def _gc_disabled() -> Iterator[None]:
    # The list's many objects would trigger two full collections of a large server, with all threads stopped.
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _compile() -> None:
    # The list is a module of 1.6 MB. If the installer has not compiled it, that takes 0.2 s in which no other thread
    # of the process can run: so another process compiles it.
    spec = importlib.util.find_spec(_LIBRARY)
    if spec is None or spec.origin is None:
        return
    listed = Path(spec.origin).with_name("data.py")
    if listed.exists() and not Path(importlib.util.cache_from_source(str(listed))).exists():
        command = [sys.executable, "-m", "py_compile", str(listed)]
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(command, capture_output=True, timeout=COMPILE_SECONDS, check=False)  # noqa: S603
