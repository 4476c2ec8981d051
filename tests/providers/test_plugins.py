"""Entry points are found without an import and imported at first use; a broken one affects no other."""

from __future__ import annotations

import sys

import msgspec
import pytest
from providers.conftest import Install
from providers.speaking import job, read, text

from jupyter_bgstream.providers.bundled_plugins import demo_texts
from jupyter_bgstream.providers.bundled_plugins.demo import MODELS, mood_text
from jupyter_bgstream.providers.registry import Registry

AGENT = """
from jupyter_bgstream.plugin import Reasoning

async def agent(messages, model, params):
    yield Reasoning("Hm.")
    yield f"{model}: {messages[-1]['content']}"

agent.models = ["small", "large"]
"""
FACTORY = """
from jupyter_bgstream.providers.port import ProviderStatus
from jupyter_bgstream.core.events import Completed, Delta

class Mine:
    name = "mine"

    async def stream(self, job):
        yield [Delta(channel="text", text="made here"), Completed(at=0.0, finish_reason="stop")]

    async def status(self):
        return ProviderStatus(name="another name", kind="mine", models=("mine/one",))

    def config_error(self):
        return None

def factory():
    return Mine()

class Lying(Mine):
    async def status(self):
        raise ValueError("It never raises, they said.")
"""


async def test_generator_plugin_is_imported_at_first_use(install: Install) -> None:
    install("an_agent", AGENT, agent="agent")
    registry = Registry(environ={})
    service = registry.resolve("agent/small")
    assert service.config_error() is None
    assert "an_agent" not in sys.modules
    said, error = await read(service, job("agent/small", prompt="Hello"))
    assert error is None
    assert (text(said), text(said, "reasoning")) == ("small: Hello", "Hm.")
    assert (await service.status()).models == ("agent/small", "agent/large")
    assert "agent" in repr(service)


async def test_provider_factory_works_and_failing_status_is_reported(install: Install) -> None:
    install("a_factory", FACTORY, mine="factory", lying="Lying")
    registry = Registry(environ={})
    assert text((await read(registry.resolve("mine/one"), job("mine/one")))[0]) == "made here"
    found = {status.name: status for status in await registry.status()}
    assert found["mine"].models == ("mine/one",)
    assert found["lying"].error is not None
    assert "ValueError" in found["lying"].error.message
    assert registry.resolve("mine/one").config_error() is None


@pytest.mark.parametrize(
    ("source", "attribute", "words"),
    [
        ("import nothing_of_that_name", "agent", "ModuleNotFoundError"),
        ("def broken(:", "agent", "SyntaxError"),
        ("x = 1", "agent", "AttributeError"),
        ("agent = 7", "agent", "neither an async generator function"),
        ("async def agent(messages, model, params): return ''", "agent", "neither an async generator function"),
        ("def agent(messages, model, params): yield ''", "agent", "neither an async generator function"),
        ("def agent(): return 7", "agent", "neither an async generator function"),
        ("def agent(needed): pass", "agent", "TypeError"),
        ("raise SystemExit(1)", "agent", "SystemExit"),
    ],
)
async def test_broken_plugin_is_listed_with_its_error(
    install: Install, source: str, attribute: str, words: str
) -> None:
    install("a_broken_one", source, broken=attribute)
    registry = Registry(environ={})
    found = {status.name: status for status in await registry.status()}
    assert found["broken"].error is not None
    assert words in found["broken"].error.message
    assert found["demo"].error is None
    _, error = await read(registry.resolve("broken/x"), job("broken/x"))
    assert error is not None
    assert error.code == "provider_error"
    assert words in error.message


async def test_plugin_settings_apply_and_base_url_replaces_plugin(install: Install) -> None:
    install("an_agent", AGENT, agent="agent", openai="agent", **{"a name of its own": "agent"})
    registry = Registry({"agent": {"models": ["only"], "idle_timeout": 7}}, environ={})
    assert (await registry.resolve("agent/x").status()).models == ("agent/only",)
    assert "HTTPProvider" in repr(registry.resolve("openai/x"))  # what is built in is not taken away from outside
    replaced = Registry({"agent": {"base_url": "http://127.0.0.1:1/v1"}}, environ={})
    assert "127.0.0.1:1" in repr(replaced.resolve("agent/x"))
    assert "an_agent" in sys.modules


class TestDemo:
    async def test_demo_answers_without_configuration(self) -> None:
        service = Registry(environ={}).resolve("demo/quick")
        said, error = await read(service, job("demo/quick", params={"speed": 1000}))
        assert error is None
        assert text(said) == demo_texts.QUICK
        assert "OPENAI_API_KEY" in text(said).splitlines()[0]
        assert (await service.status()).models == tuple(f"demo/{name}" for name in MODELS)

    async def test_demo_tour_reasons_and_echo_quotes_the_prompt(self) -> None:
        service = Registry(environ={}).resolve("demo/tour")
        said, _ = await read(service, job("demo/tour", params={"speed": 1000}))
        assert (text(said), text(said, "reasoning")) == (demo_texts.TOUR, demo_texts.TOUR_REASONING)
        said, _ = await read(service, job("demo/echo", prompt="Twice\nsaid", params={"speed": 1000}))
        assert text(said).endswith("0 messages of history. You said:\n\n> Twice\n> said\n")

    @pytest.mark.parametrize(
        ("prompt", "answer"),
        [
            ("A LOVELY room, and friendly people.", '{"mood": "good", "because": "lovely, friendly"}'),
            ("Cold soup.", '{"mood": "bad", "because": "cold"}'),
            ("Late but good", '{"mood": "mixed", "because": "good, late"}'),
            ("A room.", demo_texts.NO_MOOD),
        ],
    )
    async def test_demo_mood_is_derived_from_words(self, prompt: str, answer: str) -> None:
        service = Registry(environ={}).resolve("demo/mood")
        said, _ = await read(service, job("demo/mood", prompt=prompt, params={"speed": 1000}))
        assert text(said) == mood_text(["Earlier: good", prompt]) == answer

    @pytest.mark.parametrize(
        ("model", "params", "code"),
        [
            ("other", {}, "model_not_found"),
            ("tour", {"speed": 0}, "bad_request"),
            ("tour", {"speed": "x"}, "bad_request"),
        ],
    )
    async def test_unknown_demo_model_or_invalid_speed_fails(
        self, model: str, params: dict[str, object], code: str
    ) -> None:
        _, error = await read(Registry(environ={}).resolve("demo/x"), job(f"demo/{model}", params=params))
        assert error is not None
        assert error.code == code


async def test_key_in_import_error_is_redacted(install: Install) -> None:
    install("a_leak", "raise RuntimeError('sk-canary-4711 is no key of mine')", leak="agent")
    service = Registry(environ={"SOME_API_KEY": "sk-canary-4711"}).resolve("leak/x")
    fault = (await service.status()).error
    assert fault is not None
    assert "RuntimeError: [key] is no key of mine" in fault.message
    _, error = await read(service, job("leak/x"))
    assert error is not None
    assert error.message == fault.message


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ("'abc'", "It yielded str, not a list"),
        ("None", "It yielded NoneType, not a list"),
        ("['abc']", "It yielded str, which is not an event"),
        ("[Usage(input_tokens='7')]", "It yielded an invalid Usage"),
        ("[Usage(input_tokens=2**62)]", "It yielded an invalid Usage"),
        ("[Delta(channel='other', text='x')]", "It yielded an invalid Delta"),
        ("[Delta(channel='text', text='\\ud800')]", "It yielded an invalid Delta"),
        ("[Citation(url=object())]", "It yielded an invalid Citation"),
        ("[1 / 0]", "ZeroDivisionError"),
    ],
)
async def test_invalid_events_of_plugin_provider_are_refused(install: Install, batch: str, words: str) -> None:
    source = FACTORY.replace("import Completed, Delta", "import Completed, Delta, Citation, Usage")
    install("a_factory", source.replace("        yield [", f"        yield {batch}\n        yield ["), mine="factory")
    said, error = await read(Registry(environ={}).resolve("mine/x"), job("mine/x"))
    assert said == []
    assert error is not None
    assert error.message.startswith("The plug-in mine failed. Details: ")
    assert words in error.message


async def test_cancel_response_reaches_plugin_with_resume_token(install: Install) -> None:
    install(
        "a_factory",
        f"{FACTORY}\nasync def told(self, job): Mine.heard = job.resume\nMine.cancel_response = told",
        mine="factory",
    )
    install("a_broken_one", "import nothing_of_that_name", broken="agent")
    registry = Registry(environ={})
    left = msgspec.structs.replace(job("mine/x"), resume="after half")
    await registry.resolve("mine/x").cancel_response(left)
    assert sys.modules["a_factory"].Mine.heard == "after half"
    await registry.resolve("broken/x").cancel_response(left)
