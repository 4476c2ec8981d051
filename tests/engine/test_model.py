"""Random operations on several servers with one store, compared with a simple model."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.conftest import OWNER, spec
from engine.model import MAX_ATTEMPTS, MAX_RUNNING, VIEWERS
from engine.model_servers import Server
from engine.model_stage import Stage
from engine.shared_store import Shared, SharedMemory
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jupyter_bgstream.store.sqlite import SQLiteStore
from jupyter_bgstream.testing.clock import FakeClock

some = st.integers(0, 7)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
viewers = st.sampled_from(VIEWERS)
notebooks = st.sampled_from(["a.ipynb", "b.ipynb"])
wishes = st.fixed_dictionaries(
    {
        "prompt": st.sampled_from(["one", "one", "one", "two"]),
        "model": st.sampled_from(["puppet/one", "puppet/one", "odd/one"]),
        "notebook": notebooks,
        "on_restart": st.sampled_from(["interrupt", "retry"]),
        "retry_policy": st.sampled_from(["before_first_token", "always", "never"]),
        "priority": st.sampled_from(["interactive", "bulk"]),
    }
)
OPERATIONS = {
    "submit": (6, st.tuples(some, some, wishes)),
    "batch": (2, st.tuples(some, st.integers(1, 2), st.integers(1, 3), st.lists(st.tuples(some, wishes), max_size=3))),
    "retry": (3, st.tuples(some, some)),
    "cancel": (2, st.tuples(some, some)),
    "cancel_batch": (1, st.tuples(some, st.integers(1, 2))),
    "say": (4, st.tuples(some, st.lists(texts, min_size=1, max_size=3))),
    "count": (1, st.tuples(some, st.integers(0, 99))),
    "finish": (3, st.tuples(some)),
    "fail": (
        3,
        st.tuples(
            some,
            st.sampled_from(["rate_limited", "truncated", "bad_request", "provider_error"]),
            st.booleans(),
            st.sampled_from([0.0, 0.0, 30.0, 5000.0]),
            st.sampled_from(["", "but "]),
        ),
    ),
    "start_server": (3, st.tuples(st.booleans())),
    "crash": (3, st.tuples(some)),
    "stop": (1, st.tuples(some)),
    "suspend": (1, st.tuples(some)),
    "resume": (2, st.just(())),
    "advance": (4, st.tuples(st.sampled_from([0.5, 3.0, 11.0, 4000.0]))),
    "follow": (2, st.tuples(some, some, st.sampled_from([0.0, 0.5, 1.0]))),
    "unfollow": (1, st.tuples(some)),
    "turn_away": (1, st.tuples(some)),
    "seen": (2, st.tuples(some, viewers, some, st.booleans())),
    "read": (1, st.tuples(some, viewers, st.one_of(st.none(), st.integers(0, 3)))),
    "dismiss": (1, st.tuples(some, viewers, st.integers(0, 3))),
    "mute": (1, st.tuples(some, viewers, notebooks, st.booleans())),
}
operations = st.sampled_from([name for name, (weight, _) in OPERATIONS.items() for _ in range(weight)]).flatmap(
    lambda name: OPERATIONS[name][1].map(lambda arguments: (name, *arguments))
)
START: list[tuple[Any, ...]] = [
    ("submit", 0, n, {"prompt": "one", "notebook": "a.ipynb"} | options)
    for n, options in enumerate(
        [
            {"model": "puppet/one", "on_restart": "retry", "retry_policy": "always", "priority": "interactive"},
            {"model": "odd/one", "on_restart": "retry", "retry_policy": "before_first_token", "priority": "bulk"},
            {"model": "puppet/one", "on_restart": "interrupt", "retry_policy": "never", "priority": "interactive"},
        ]
    )
]
TWO = [
    {"prompt": "one", "notebook": "b.ipynb", "model": "puppet/one", "retry_policy": "always", "priority": "bulk"}
    | options
    for options in ({"on_restart": "retry"}, {"on_restart": "interrupt"})
]
START += [
    ("batch", 0, 1, 2, [(6, TWO[0]), (7, TWO[1])]),
    ("batch", 0, 2, 2, []),
    ("finish", 1),
    ("start_server", False),
]


@pytest.mark.parametrize(("kind", "examples"), [("memory", 120), ("sqlite", 25)])
def test_engine_and_store_match_model(
    kind: str, examples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_bgstream.engine.retry_rule.random.uniform", lambda low, high: high)
    numbers = itertools.count()

    def new_stores() -> Callable[[str], Any]:
        if kind == "memory":
            return functools.partial(SharedMemory, Shared())
        path = tmp_path / f"{next(numbers)}.sqlite"
        return lambda server: SQLiteStore(path, server=server)

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(st.lists(operations, min_size=10, max_size=40))
    def check(steps: list[tuple[Any, ...]]) -> None:
        asyncio.run(Stage(new_stores()).play([*START, *steps]))

    check()


# What it found, each as the test that failed first.


async def test_full_server_does_not_block_other_server_of_same_owner() -> None:
    shared, clock = Shared(), FakeClock()
    one, two = (Server(name, SharedMemory(shared, name), clock, ("puppet",)) for name in ("server-1", "server-2"))
    for server in (one, two):
        await server.engine.open()
    for _ in range(MAX_RUNNING):
        await one.engine.jobs.submit(OWNER, spec())
        await one.puppet.call()
    job, _ = await two.engine.jobs.submit(OWNER, spec())
    assert (await two.puppet.call()).job.id == job.id
    for server in (one, two):
        await server.engine.close()


async def test_job_at_attempt_limit_is_interrupted_at_close() -> None:
    shared, clock = Shared(), FakeClock()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        server = Server(f"server-{attempt}", SharedMemory(shared, f"server-{attempt}"), clock, ("puppet",))
        await server.engine.open()
        if attempt == 1:
            await server.engine.jobs.submit(OWNER, spec(on_restart="retry"), "job-0001")
        assert (await server.puppet.call()).job.attempt == attempt
        await server.engine.close()
    ended = shared.contents.jobs[OWNER, "job-0001"].job
    assert (ended.status, ended.attempt) == ("interrupted", MAX_ATTEMPTS)
    assert ended.error is not None
    assert ended.error.code == "server_stopped"
