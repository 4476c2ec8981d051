"""Plugins that raise, yield and report what they may not."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from providers.conftest import Install
from providers.speaking import job, read, text

from jupyter_bgstream.core.events import Delta, ToolCall
from jupyter_bgstream.providers.errors import CODES, ErrorBuilder
from jupyter_bgstream.providers.event_limits import MAX_ARGUMENTS
from jupyter_bgstream.providers.plugins.validation import checked_status
from jupyter_bgstream.providers.port import ProviderStatus, Resume
from jupyter_bgstream.providers.registry import Registry

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
