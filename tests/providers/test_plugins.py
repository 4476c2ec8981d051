"""Entry points: found without an import, imported at the first use, and a broken one breaks nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from providers.speaking import job, read, text

from jupyter_bgstream.plugins import demo_texts
from jupyter_bgstream.plugins.demo import MODELS, mood_text
from jupyter_bgstream.providers.registry import Registry

AGENT = """
from jupyter_bgstream.plugin import Reasoning

async def agent(messages, model, params):
    yield Reasoning("Hm.")
    yield f"{model}: {messages[-1]['content']}"

agent.models = ["small", "large"]
"""
FACTORY = """
from jupyter_bgstream.providers.base import ProviderStatus
from jupyter_bgstream.core.events import Completed, Delta

class Mine:
    name = "mine"

    async def stream(self, job):
        yield [Delta(channel="text", text="made here"), Completed(at=0.0, finish_reason="stop")]

    async def status(self):
        return ProviderStatus(name="another name", kind="mine", models=("mine/one",))

    def unready(self):
        return None

def factory():
    return Mine()

class Lying(Mine):
    async def status(self):
        raise ValueError("It never raises, they said.")
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution with one module and entry points, as pip leaves one behind."""
    monkeypatch.syspath_prepend(str(tmp_path))
    installed: list[str] = []

    def put(module: str, source: str, **entries: str) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        lines = [f"{name} = {module}:{attribute}" for name, attribute in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[jupyter_bgstream.providers]", *lines]))
        installed.append(module)

    yield put
    for module in installed:
        sys.modules.pop(module, None)


async def test_a_generator_is_imported_when_it_is_asked(install: Install) -> None:
    install("an_agent", AGENT, agent="agent")
    registry = Registry(environ={})
    service = registry.resolve("agent/small")
    assert service.unready() is None
    assert "an_agent" not in sys.modules
    said, error = await read(service, job("agent/small", prompt="Hello"))
    assert error is None
    assert (text(said), text(said, "reasoning")) == ("small: Hello", "Hm.")
    assert (await service.status()).models == ("agent/small", "agent/large")
    assert "agent" in repr(service)


async def test_a_factory_of_a_provider(install: Install) -> None:
    install("a_factory", FACTORY, mine="factory", lying="Lying")
    registry = Registry(environ={})
    assert text((await read(registry.resolve("mine/one"), job("mine/one")))[0]) == "made here"
    found = {status.name: status for status in await registry.status()}
    assert found["mine"].models == ("mine/one",)
    assert found["lying"].error is not None
    assert "ValueError" in found["lying"].error.message
    assert registry.resolve("mine/one").unready() is None


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
async def test_a_broken_one_is_shown_beside_its_name(install: Install, source: str, attribute: str, words: str) -> None:
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


async def test_the_setting_of_a_plugin_and_a_service_in_its_place(install: Install) -> None:
    install("an_agent", AGENT, agent="agent", openai="agent", **{"a name of its own": "agent"})
    registry = Registry({"agent": {"models": ["only"], "idle_timeout": 7}}, environ={})
    assert (await registry.resolve("agent/x").status()).models == ("agent/only",)
    assert "HTTPService" in repr(registry.resolve("openai/x"))  # what is built in is not taken away from outside
    replaced = Registry({"agent": {"base_url": "http://127.0.0.1:1/v1"}}, environ={})
    assert "127.0.0.1:1" in repr(replaced.resolve("agent/x"))
    assert "an_agent" in sys.modules


class TestDemo:
    async def test_it_answers_with_no_configuration_at_all(self) -> None:
        service = Registry(environ={}).resolve("demo/quick")
        said, error = await read(service, job("demo/quick", params={"speed": 1000}))
        assert error is None
        assert text(said) == demo_texts.QUICK
        assert "OPENAI_API_KEY" in text(said).splitlines()[0]
        assert (await service.status()).models == tuple(f"demo/{name}" for name in MODELS)

    async def test_it_thinks_and_remembers(self) -> None:
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
    async def test_it_tells_moods_by_counting_words(self, prompt: str, answer: str) -> None:
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
    async def test_what_it_has_not(self, model: str, params: dict[str, object], code: str) -> None:
        _, error = await read(Registry(environ={}).resolve("demo/x"), job(f"demo/{model}", params=params))
        assert error is not None
        assert error.code == code


async def test_what_an_import_says_holds_no_key(install: Install) -> None:
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
        ("['abc']", "It yielded str among events"),
        ("[Usage(input_tokens='7')]", "It yielded a Usage that cannot be meant"),
        ("[Usage(input_tokens=2**62)]", "It yielded a Usage that cannot be meant"),
        ("[Delta(channel='other', text='x')]", "It yielded a Delta that cannot be meant"),
        ("[Delta(channel='text', text='\\ud800')]", "It yielded a Delta that cannot be meant"),
        ("[Source(url=object())]", "It yielded a Source that cannot be meant"),
        ("[1 / 0]", "ZeroDivisionError"),
    ],
)
async def test_what_a_provider_of_others_yields_is_looked_at_before_it_is_stored(
    install: Install, batch: str, words: str
) -> None:
    source = FACTORY.replace("import Completed, Delta", "import Completed, Delta, Source, Usage")
    install("a_factory", source.replace("        yield [", f"        yield {batch}\n        yield ["), mine="factory")
    said, error = await read(Registry(environ={}).resolve("mine/x"), job("mine/x"))
    assert said == []
    assert error is not None
    assert error.message.startswith("The plug-in mine failed. Details: ")
    assert words in error.message


async def test_a_provider_of_others_hears_of_an_answer_of_a_server_before_that_nobody_wants(install: Install) -> None:
    install(
        "a_factory",
        f"{FACTORY}\nasync def told(self, job): Mine.heard = job.resume\nMine.abandon = told",
        mine="factory",
    )
    install("a_broken_one", "import nothing_of_that_name", broken="agent")
    registry = Registry(environ={})
    left = msgspec.structs.replace(job("mine/x"), resume="after half")
    await registry.resolve("mine/x").abandon(left)
    assert sys.modules["a_factory"].Mine.heard == "after half"
    await registry.resolve("broken/x").abandon(left)
