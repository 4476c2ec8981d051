"""OpenAI's Responses in the background: resume tokens, and the answer from any of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from providers.responses_samples import (
    CALL,
    EVERYTHING,
    FORMAT,
    NOTED,
    PLAIN,
    SEARCH,
    THOUGHT,
    USAGE,
    decoded,
    delta,
    end,
    heard,
    item,
    message,
    stream,
)
from providers.speaking import ERRORS, of, text

from jupyter_bgstream.core.events import Citation, ToolCall
from jupyter_bgstream.providers.port import ProviderEvent, Resume
from jupyter_bgstream.testing.scripts import event

NOTE = NOTED[0]["annotation"]
OUTPUT = [THOUGHT[-1]["item"], SEARCH, message("Hello, weiß 🦉", annotations=[NOTE]), CALL, message(refusal="No")]
WHOLE = {"id": "resp_1", "status": "completed", "usage": USAGE, "output": OUTPUT}
KEPT = stream(
    *THOUGHT, item(SEARCH, 1), *PLAIN, *NOTED, item(CALL, 3), delta("refusal", "No", 4), end(*OUTPUT), background=True
)


def unmarked(said: Iterable[ProviderEvent]) -> list[ProviderEvent]:
    return [event for event in said if not isinstance(event, Resume)]


def joined(said: Iterable[ProviderEvent]) -> tuple[Any, ...]:
    said = [*said]
    others = sorted(str(it) for it in said if isinstance(it, Citation | ToolCall))
    return text(said), text(said, "reasoning"), others, said[-2:]


def test_only_background_answers_yield_resume_tokens() -> None:
    assert not of(decoded(EVERYTHING), Resume)  # type: ignore[arg-type]
    decoder = FORMAT.decoder(ERRORS)
    for piece in KEPT:
        said = decoder.feed(piece)
        assert isinstance(said[-1], Resume) if said else True
        assert sum(isinstance(it, Resume) for it in said) <= 1
    assert isinstance(FORMAT.decoder(ERRORS).feed(KEPT[0])[0], Resume)  # from the first moment


def test_unnumbered_events_yield_no_resume_token() -> None:
    begun = {"type": "response.created", "response": {"id": "resp_1", "status": "queued", "background": True}}
    said, error = heard([event(it, str(it["type"])) for it in (begun, delta("output_text", "one "))])
    assert not of(said, Resume)  # type: ignore[arg-type]  # all of it would be said twice
    assert error is not None


@pytest.mark.parametrize("place", range(1, len(KEPT) + 1))
@pytest.mark.parametrize("again", [0, 3], ids=["on time", "some events twice"])
def test_resume_from_any_token_has_no_gap_or_duplicate(place: int, again: int) -> None:
    decoder = FORMAT.decoder(ERRORS)
    before = [it for piece in KEPT[:place] for it in decoder.feed(piece)]
    (token,) = [it.token for it in before if isinstance(it, Resume)][-1:]
    # What is stored may be older than what was read, but covers all that was said.
    after = int(FORMAT.resume(token).path.rpartition("=")[2])
    assert after < place
    rest = decoded(KEPT[max(1, after + 1 - again) :], token)
    assert joined([*unmarked(before), *unmarked(rest)]) == joined(unmarked(decoded(KEPT)))


@pytest.mark.parametrize("place", range(1, len(KEPT)))
def test_snapshot_from_any_token_completes_the_answer(place: int) -> None:
    decoder = FORMAT.decoder(ERRORS)
    before = [it for piece in KEPT[:place] for it in decoder.feed(piece)]
    (token,) = [it.token for it in before if isinstance(it, Resume)][-1:]
    looking = FORMAT.decoder(ERRORS, token)
    assert looking.apply_snapshot(WHOLE | {"status": "in_progress"}) == []
    assert not looking.ended
    rest = [*looking.apply_snapshot(WHOLE), *looking.close()]
    assert joined([*unmarked(before), *unmarked(rest)]) == joined(unmarked(decoded(KEPT)))


def test_snapshot_of_failed_answer_is_provider_error() -> None:
    (token,) = [it.token for it in FORMAT.decoder(ERRORS).feed(KEPT[0]) if isinstance(it, Resume)]
    decoder = FORMAT.decoder(ERRORS, token)
    decoder.apply_snapshot({"status": "failed", "error": {"code": "server_error", "message": "Oops."}})
    decoder.close()
    assert decoder.error is not None
    assert decoder.error.code == "provider_error"


def test_resume_paths_escape_the_response_id() -> None:
    decoder = FORMAT.decoder(ERRORS)
    begun = {"type": "response.created", "response": {"id": "../a b?", "background": True}, "sequence_number": 0}
    (mark,) = decoder.feed(event(begun))
    assert isinstance(mark, Resume)
    assert FORMAT.resume(mark.token).path == "/responses/..%2Fa%20b%3F?stream=true&starting_after=0"
    assert FORMAT.retrieve(mark.token).path == "/responses/..%2Fa%20b%3F"
    assert FORMAT.cancel(mark.token).path == "/responses/..%2Fa%20b%3F/cancel"
