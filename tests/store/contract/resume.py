"""Contract tests of stores: attempts whose responses can be resumed; a part of StoreContract."""

from __future__ import annotations

import pytest
from store.factories import DONE, HERE, OWNER, THERE, append, claim, log_of, running, text_deltas

from jupyter_bgstream.core.errors import FencedError
from jupyter_bgstream.core.events import Attempt, Cancelled, Delta, Event, Usage, Waiting
from jupyter_bgstream.core.state import fold
from jupyter_bgstream.store.ports.store import Store

DIED = Waiting(at=30.0, until=30.0, code="server_died", message="It died.")


class ResumeContract:
    """Resume tokens: stored in one transaction with the events that they cover."""

    async def test_resume_token_is_stored_with_events_it_covers(self, store: Store) -> None:
        job = await running(store)
        assert (await store.job(OWNER, job.id)).resume is None
        await append(store, job, text_deltas("one "), resume="after one")
        assert (await store.job(OWNER, job.id)).resume == "after one"
        await append(store, job, text_deltas("two "))  # None leaves it as it is
        assert (await store.job(OWNER, job.id)).resume == "after one"
        await append(store, job, text_deltas("three "), resume="after three", preview="one two three")
        now = await store.job(OWNER, job.id)
        assert (now.resume, now.preview, now.seq) == ("after three", "one two three", 5)
        await append(store, job, [Usage(input_tokens=1)], resume="")
        assert (await store.job(OWNER, job.id)).resume is None

    async def test_resume_token_can_precede_first_event(self, store: Store) -> None:
        job = await running(store)
        tail = await append(store, job, [], resume="from the beginning")
        now = await store.job(OWNER, job.id)
        assert (tail, now.seq, now.resume) == (job.seq, job.seq, "from the beginning")
        assert await append(store, job, text_deltas("one ")) == job.seq + 1
        assert [event.text for event in await log_of(store) if isinstance(event, Delta)] == ["one "]

    async def test_fenced_writer_stores_no_resume_token(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, text_deltas("one "), resume="after one")
        await store.adopt(job, server=HERE, event=DIED)
        for events in (text_deltas("two "), []):
            with pytest.raises(FencedError):
                await append(store, job, events, resume="after two")
        assert (await store.job(OWNER, job.id)).resume == "after one"

    async def test_resumed_attempt_keeps_number_and_text(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, [*text_deltas("one "), Usage(input_tokens=1)], resume="after one")
        adopted = await store.adopt(job, server=THERE, event=DIED)
        assert adopted.resume == "after one"
        (again,) = await claim(store, server=THERE, at=40.0)
        assert (again.attempt, again.resume, again.usage, again.fence > adopted.fence) == (
            1,
            "after one",
            Usage(input_tokens=1),
            True,
        )
        await append(store, again, text_deltas("two"), resume="after two")
        events = await log_of(store)
        assert [event for event in events if isinstance(event, Attempt)][1:] == [
            Attempt(seq=6, attempt=1, at=40.0, resumed=True, reason="recovery")
        ]
        answer = fold(events)
        assert (answer.text, answer.earlier, answer.attempt) == ("one two", (), 1)

    async def test_waiting_job_without_token_starts_new_attempt(self, store: Store) -> None:
        job = await running(store)
        await append(store, job, text_deltas("one "), resume="after one")
        busy = Waiting(at=30.0, until=30.0, code="rate_limited", message="Busy.")
        await append(store, job, [busy], resume="")
        (again,) = await claim(store, at=40.0)
        assert (again.attempt, again.resume) == (2, None)
        answer = fold(await log_of(store))
        assert (answer.text, [part.text for part in answer.earlier]) == ("", ["one "])

    async def test_end_returns_resume_token(self, store: Store) -> None:
        # So the caller can cancel the response at the provider.
        ends: tuple[Event, ...] = (Cancelled(at=50.0), DONE)
        for number, end in enumerate(ends):
            job = await running(store, f"job-000{number}")
            await append(store, job, text_deltas("one "), resume="after one")
            now, won = await store.end(OWNER, job.id, end)
            assert (won, now.resume) == (True, "after one")
