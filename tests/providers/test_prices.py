"""The estimated cost of an answer whose provider reports none."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from providers.conftest import Connect
from providers.speaking import job, of, read

from jupyter_bgstream.core.events import Completed, Usage
from jupyter_bgstream.providers import pricing
from jupyter_bgstream.providers.pricing import NAMES, is_local, priced
from jupyter_bgstream.testing import ScriptedProvider, answer

OPENAI = "https://api.openai.com/v1"
MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000)

LOAD = """
import sys
import jupyter_bgstream.server.app, jupyter_bgstream.providers.http_provider
assert "genai_prices" not in sys.modules and "pydantic" not in sys.modules
from jupyter_bgstream.core.events import Usage
from jupyter_bgstream.providers.pricing import priced
local = priced(Usage(input_tokens=1, output_tokens=1), provider="openai", model="gpt-4o", base_url="http://[::1]:1/v1")
assert local.cost is None and "genai_prices" not in sys.modules
"""


def cost(usage: Usage, provider: str = "openai", model: str = "gpt-4o-mini", base_url: str = OPENAI) -> float | None:
    found = priced(usage, provider=provider, model=model, base_url=base_url)
    assert found.cost_estimated == (found.cost is not None)
    return found.cost


def test_cost_is_estimated_by_list_price() -> None:
    # $0.15 and $0.60 for a million tokens since July 2024: https://openai.com/api/pricing
    found = cost(MILLION)
    assert found is not None
    assert math.isclose(found, 0.75)


def test_cached_and_written_tokens_have_their_own_prices() -> None:
    def claude(**tokens: int) -> float:
        usage = Usage(input_tokens=100_000, output_tokens=0, **tokens)
        found = cost(usage, "anthropic", "claude-sonnet-4-5", "https://api.anthropic.com/v1")
        assert found is not None
        return found

    assert math.isclose(claude(), 0.30)
    assert math.isclose(claude(cached_tokens=100_000), 0.03)
    assert math.isclose(claude(cache_write_tokens=100_000), 0.375)
    assert math.isclose(claude(cached_tokens=40_000, cache_write_tokens=10_000), 0.05 * 3 + 0.04 * 0.3 + 0.01 * 3.75)


def test_reported_cost_is_kept() -> None:
    own = Usage(input_tokens=10, output_tokens=10, cost=7.5)
    assert priced(own, provider="openai", model="gpt-4o-mini", base_url=OPENAI) == own
    free = Usage(input_tokens=10, output_tokens=10, cost=0.0)
    assert priced(free, provider="openai", model="gpt-4o-mini", base_url=OPENAI) == free


@pytest.mark.parametrize(
    ("usage", "provider", "model", "base_url"),
    [
        (MILLION, "openai", "no-such-model", OPENAI),
        (MILLION, "openai", "", OPENAI),
        (MILLION, "mine", "gpt-4o-mini", "https://llm.example.org/v1"),  # nobody says that it is OpenAI's
        (MILLION, "my-openai", "gpt-4o-mini", "https://llm.example.org/v1"),
        (MILLION, "openai", "gpt-4o-mini", "http://127.0.0.1:8000/v1"),
        (MILLION, "openai", "gpt-4o-mini", "http://localhost:8000/v1"),
        (MILLION, "google", "gemma-4-31b-it", "https://generativelanguage.googleapis.com"),  # listed without a price
        (Usage(input_tokens=10), "openai", "gpt-4o-mini", OPENAI),
        (Usage(output_tokens=10), "openai", "gpt-4o-mini", OPENAI),
        (Usage(input_tokens=0, output_tokens=0), "openai", "gpt-4o-mini", OPENAI),
    ],
)
def test_unknown_price_or_usage_yields_no_cost(usage: Usage, provider: str, model: str, base_url: str) -> None:
    assert priced(usage, provider=provider, model=model, base_url=base_url) == usage


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=-5, output_tokens=5),
        Usage(input_tokens=5, output_tokens=5, cached_tokens=9),  # more than there are
    ],
)
def test_impossible_counts_yield_no_cost(usage: Usage) -> None:
    assert cost(usage) is None


def test_broken_price_library_yields_no_cost(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise ImportError("no such library")

    monkeypatch.setattr(pricing, "_library", broken)
    assert cost(MILLION) is None
    assert "cannot be estimated" in caplog.text


def test_known_address_is_priced_under_any_provider_name() -> None:
    assert cost(MILLION, "mine") == cost(MILLION)
    by_address = cost(MILLION, "mine", "openai/gpt-oss-20b", "https://api.groq.com/openai/v1")
    assert by_address == cost(MILLION, "groq", "openai/gpt-oss-20b", "https://gateway.example.org/v1") is not None


def test_price_list_knows_every_named_provider() -> None:
    from genai_prices.data import providers

    assert set(NAMES.values()) <= {each.id for each in providers}


@pytest.mark.parametrize(
    ("url", "local"),
    [
        (OPENAI, False),
        ("https://8.8.8.8/v1", False),
        ("http://127.0.0.1/v1", True),
        ("http://[::1]:11434", True),
        ("http://localhost:1234/v1", True),
        ("http://LOCALHOST:1234/v1", True),
        ("http://gpu-box:8000/v1", True),
        ("http://gpu.local:8000/v1", True),
        ("http://host.docker.internal:8000/v1", True),
        ("http://192.168.1.20:8000/v1", True),
        ("http://0.0.0.0:8000/v1", True),
    ],
)
def test_local_addresses_are_recognized(url: str, local: bool) -> None:
    assert is_local(url) == local


def test_price_library_is_imported_only_when_needed() -> None:
    subprocess.run([sys.executable, "-c", LOAD], check=True, timeout=60)


async def test_stream_reports_estimated_cost(
    connect: Connect, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pricing, "is_local", lambda _: False)
    monkeypatch.setitem(pricing.NAMES, "puppet", "openai")
    provider.scripts["gpt-4o-mini"] = answer("A log.", usage=(1_000_000, 1_000_000))
    said, error = await read(connect(), job("puppet/gpt-4o-mini"))
    assert error is None
    (usage,) = of(said, Usage)
    assert math.isclose(usage.cost, 0.75)
    assert usage.cost_estimated
    assert isinstance(said[-1], Completed)


async def test_local_server_reports_no_cost(connect: Connect, provider: ScriptedProvider) -> None:
    provider.scripts["gpt-4o-mini"] = answer("A log.", usage=(1_000_000, 1_000_000))
    said, _ = await read(connect(), job("puppet/gpt-4o-mini"))
    assert of(said, Usage) == [MILLION]
