"""Entry points are found without an import and imported at first use; a broken one affects no other."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from providers.speaking import job, read, text

from jupyter_bgstream.core.events import Delta, ToolCall
from jupyter_bgstream.providers.bundled_plugins import demo_texts
from jupyter_bgstream.providers.bundled_plugins.demo import MODELS, mood_text
from jupyter_bgstream.providers.errors import CODES, ErrorBuilder
from jupyter_bgstream.providers.event_limits import MAX_ARGUMENTS
from jupyter_bgstream.providers.plugins.validation import checked_status
from jupyter_bgstream.providers.port import ProviderStatus, Resume
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

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution with one module and entry points, as pip does."""
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


HOSTILE = """
import asyncio, sys
from jupyter_bgstream.core.errors import ProviderError
from jupyter_bgstream.core.events import Completed, Delta, Citation, ToolCall, Usage
from jupyter_bgstream.providers.port import ProviderStatus, Resume

KEY = "sk-canary-4711"

class Silent(Exception):
    def __str__(self):
        raise ValueError("no words")

async def agent(messages, model, params):
    yield "Half. "
    {deed}

class Mine:
    def __init__(self):
        self.closed = False

    async def stream(self, job):
        yield [Delta(channel="text", text="Half. ")]
        {deed}

    async def status(self):
        {status}
        return ProviderStatus(name="mine", kind="mine")

    def config_error(self):
        {config_error}

    async def cancel_response(self, job):
        {deed}
"""
FORMS = {"generator": "agent", "provider": "Mine"}


def hostile(deed: str = "pass", *, status: str = "pass", config_error: str = "return None") -> str:
    return HOSTILE.replace("{deed}", deed).replace("{status}", status).replace("{config_error}", config_error)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("deed", "words"),
    [
        ("sys.exit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise asyncio.CancelledError", "It cancelled itself"),
        ("task = asyncio.ensure_future(asyncio.sleep(9)); task.cancel(); await task", "It cancelled itself"),
        ("raise BaseExceptionGroup('both', [KeyboardInterrupt()])", "BaseExceptionGroup"),
        ("raise Silent", "Silent"),
        ("raise ProviderError(f'No: {KEY}')", "No: [key]"),
        ("raise ProviderError('No: \\ud800')", "No: ?"),
        ("raise ProviderError('x' * 10_000_000)", "xxxxx"),
        ("raise ProviderError(7)", "7"),
        ("raise ProviderError('No.', code='x' * 1_000_000)", "No."),
        ("raise ProviderError('No.', code=7)", "No."),
        ("raise ProviderError('No.', code='context_too_long')", "too long"),
        ("raise ProviderError('No.', transient='yes', retry_after='soon')", "No."),
        ("raise ProviderError('No.', transient=True, retry_after=float('nan'))", "No."),
        ("raise ProviderError('No.', transient=True, retry_after=10**400)", "No."),
    ],
)
async def test_any_exception_of_plugin_fails_its_job_with_message(
    install: Install, form: str, deed: str, words: str
) -> None:
    install("a_hostile_one", hostile(deed), mine=FORMS[form])
    service = Registry(environ={"SOME_API_KEY": "sk-canary-4711"}).resolve("mine/x")
    said, error = await read(service, job("mine/x"))
    assert text(said) == "Half. "
    assert error is not None
    assert words in error.message
    assert len(error.message) < 2000
    assert error.code in CODES
    assert isinstance(error.transient, bool)
    assert error.retry_after is None or error.retry_after < 1e9
    error.message.encode()


@pytest.mark.parametrize("form", FORMS)
async def test_provider_error_of_plugin_keeps_code_and_retry_after(install: Install, form: str) -> None:
    deed = "raise ProviderError('Later.', code='rate_limited', transient=True, retry_after=7)"
    install("a_hostile_one", hostile(deed), mine=FORMS[form])
    _, error = await read(Registry(environ={}).resolve("mine/x"), job("mine/x"))
    assert error is not None
    assert (error.message, error.code, error.transient, error.retry_after) == ("Later.", "rate_limited", True, 7)


@pytest.mark.parametrize("form", FORMS)
async def test_requested_cancel_raises_cancelled_error(install: Install, form: str) -> None:
    install("a_hostile_one", hostile("await asyncio.sleep(99)"), mine=FORMS[form])
    service = Registry(environ={}).resolve("mine/x")
    came = asyncio.Event()

    async def reading() -> None:
        async for _ in service.stream(job("mine/x")):
            came.set()

    task = asyncio.create_task(reading())
    await came.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("batch", "said_words"),
    [
        ("[Completed(at=0.0, finish_reason='stop'), Delta(channel='text', text='late')]", "the last"),
        ("[Resume(token='x' * 10_000_000)]", "Resume"),
    ],
)
async def test_events_after_completed_and_large_tokens_are_refused(
    install: Install, batch: str, said_words: str
) -> None:
    install("a_hostile_one", hostile(f"yield {batch}"), mine="Mine")
    said, error = await read(Registry(environ={}).resolve("mine/x"), job("mine/x"))
    assert text(said) == "Half. "
    assert error is not None
    assert said_words in error.message
    assert len(error.message) < 1000


async def test_event_numbers_of_plugin_are_reset(install: Install) -> None:
    deed = "yield [Delta(channel='text', text='x', seq=10**9, attempt=7, first=3), Citation(url='https://x/', seq=9)]"
    install("a_hostile_one", hostile(f"{deed}; yield [Completed(at=0.0, finish_reason='stop')]"), mine="Mine")
    said, error = await read(Registry(environ={}).resolve("mine/x"), job("mine/x"))
    assert error is None
    assert [(each.seq, each.attempt) for each in said if not isinstance(each, Resume)] == [(0, 0)] * 4
    assert [each.first for each in said if isinstance(each, Delta)] == [0, 0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("calls", [1, 300])
async def test_tool_call_arguments_of_plugin_are_bounded(install: Install, form: str, calls: int) -> None:
    item = f"ToolCall(id='1', name='look', arguments='x' * {30_000_000 // calls})"
    deed = f"for _ in range({calls}): yield {item if form == 'generator' else f'[{item}]'}"
    install("a_hostile_one", hostile(deed), mine=FORMS[form])
    said, error = await read(Registry(environ={}).resolve("mine/x"), job("mine/x"))
    assert error is not None
    assert error.code == "answer_too_long"
    assert sum(len(each.arguments) for each in said if isinstance(each, ToolCall)) <= MAX_ARGUMENTS


async def test_large_delta_of_plugin_is_split_into_bounded_batches(install: Install) -> None:
    deed = "yield [Delta(channel='text', text='x' * 5_000_000), Completed(at=0.0, finish_reason='stop')]"
    install("a_hostile_one", hostile(deed), mine="Mine")
    service = Registry(environ={}).resolve("mine/x")
    texts = [text(batch) async for batch in service.stream(job("mine/x"))]
    assert max(map(len, texts)) < 500_000
    assert "".join(texts) == "Half. " + "x" * 5_000_000


@pytest.mark.parametrize(
    "status",
    [
        "sys.exit(3)",
        "raise asyncio.CancelledError",
        "raise Silent",
        "return 7",
        "return ProviderStatus(name='mine', kind=object())",
        "return ProviderStatus(name='mine', kind='mine', models=(7, None))",
        "return ProviderStatus(name='mine', kind='mine', models=('mine/\\ud800',))",
        "return ProviderStatus(name='mine', kind='x' * 1_000_000, models=('mine/x',) * 100_000)",
        "from jupyter_bgstream.core.state import ErrorInfo; "
        "return ProviderStatus(name='mine', kind='m', error=ErrorInfo(code='x' * 1_000_000, message=KEY * 100_000))",
    ],
)
async def test_any_status_of_plugin_keeps_other_providers_listed(install: Install, status: str) -> None:
    install("a_hostile_one", hostile(status=status), mine="Mine")
    found = {each.name: each for each in await Registry(environ={"SOME_API_KEY": "sk-canary-4711"}).status()}
    assert found["demo"].models
    listed = msgspec.json.encode(found["mine"])
    assert len(listed) < 100_000
    assert b"canary" not in listed


@pytest.mark.parametrize("config_error", ["sys.exit(3)", "raise Silent", "return 7", "return asyncio.CancelledError"])
async def test_failing_config_error_is_reported_as_provider_error(install: Install, config_error: str) -> None:
    install("a_hostile_one", hostile(config_error=config_error), mine="Mine")
    service = Registry(environ={}).resolve("mine/x")
    await service.status()  # imports it
    fault = service.config_error()
    assert fault is not None
    assert fault.code == "provider_error"


@pytest.mark.parametrize("deed", ["sys.exit(3)", "raise Silent", "raise asyncio.CancelledError"])
async def test_exception_in_cancel_response_is_suppressed(install: Install, deed: str) -> None:
    install("a_hostile_one", hostile(deed), mine="Mine")
    await Registry(environ={}).resolve("mine/x").cancel_response(msgspec.structs.replace(job("mine/x"), resume="there"))


def test_note_of_provider_is_bounded_and_redacted() -> None:
    errors = ErrorBuilder("puppet", secrets=("sk-puppet-0123456789",))
    status = ProviderStatus(name="puppet", kind="own", note="sk-puppet-0123456789 " + "x" * 100_000)
    note = checked_status(status, errors).note
    assert note is not None
    assert note.startswith("[key] x")
    assert len(note) <= 1000
    assert checked_status(msgspec.structs.replace(status, note=None), errors).note is None
