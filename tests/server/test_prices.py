"""The price of a request before it is sent."""

import math
from collections.abc import Iterator

import pytest
from harness.jupyter import Jupyter, jupyter
from server.conftest import config_for

from jupyter_bgstream.testing.scripted_provider import ThreadedProvider


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, provider: ThreadedProvider) -> Iterator[Jupyter]:
    config = config_for(provider, model_aliases={"small": "openai/gpt-4o-mini"})
    with jupyter(tmp_path_factory.mktemp("home"), config=config) as server:
        yield server


def ask(server: Jupyter, **query: object) -> tuple[int, dict[str, object]]:
    with server.client() as client:
        answer = client.get("prices", params={name: str(value) for name, value in query.items()})
        return answer.status_code, answer.json()


def test_price_of_tokens_follows_list_prices(server: Jupyter) -> None:
    # $0.15 and $0.60 for a million tokens since July 2024: https://openai.com/api/pricing
    status, price = ask(server, model="openai/gpt-4o-mini", input_tokens=1_000_000, output_tokens=2_000_000)
    assert status == 200
    assert math.isclose(float(str(price["input_usd"])), 0.15)
    assert math.isclose(float(str(price["output_usd"])), 1.20)
    _, price = ask(server, model="openai/gpt-4o-mini", input_tokens=1000)
    assert (price["output_usd"], price["input_usd"]) == (None, 0.00015)


def test_unknown_model_has_no_price(server: Jupyter) -> None:
    expected = {"model": "demo/any", "input_usd": None, "output_usd": None}
    assert ask(server, model="demo/any", input_tokens=9, output_tokens=9) == (200, expected)


def test_price_without_tokens_is_null_and_names_model_in_full(server: Jupyter) -> None:
    expected = {"model": "openai/gpt-4o-mini", "input_usd": None, "output_usd": None}
    assert ask(server, model="openai/gpt-4o-mini") == (200, expected)
    assert ask(server, model="small") == (200, expected)


def test_malformed_price_query_is_400_with_its_field(server: Jupyter) -> None:
    for query, code, field in (
        ({"model": "nobody/any"}, "unknown_provider", "model"),
        ({"model": "demo/"}, "model_not_found", "model"),
        ({"model": "demo/any", "input_tokens": "x"}, "invalid", "input_tokens"),
        ({"modell": "demo/any"}, "invalid", "modell"),
    ):
        status, refusal = ask(server, **query)
        assert (status, refusal["code"], refusal["field"]) == (400, code, field)
