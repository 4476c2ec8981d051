"""Contract tests: lists of jobs."""

from __future__ import annotations

from typing import Any

import pytest
from store.factories import (
    OWNER,
    ended,
    ids_of,
    running,
    submit,
)

from jupyter_bgstream.core.errors import (
    InvalidRequestError,
)
from jupyter_bgstream.core.events import Cancelled
from jupyter_bgstream.core.job import JobSource
from jupyter_bgstream.store.port_values import JobFilter
from jupyter_bgstream.store.ports.store import Store


class ListContract:
    """Lists: newest first, in pages, by any combination of filters."""

    async def test_filters_combine(self, store: Store) -> None:
        await submit(store, "job-0001", thread="t", tags=("red", "blue"))
        await submit(store, "job-0002", thread="t", batch="g", source=JobSource(notebook="a.ipynb"))
        await submit(store, "job-0003", tags=("red",), batch="g", source=JobSource(notebook="a.ipynb"))
        await store.end(OWNER, "job-0002", Cancelled(at=30.0))
        expected: list[tuple[dict[str, Any], list[int]]] = [
            ({}, [3, 2, 1]),
            ({"status": "queued"}, [3, 1]),
            ({"status": "running"}, []),
            ({"thread": "t"}, [2, 1]),
            ({"notebook": "a.ipynb"}, [3, 2]),
            ({"batch": "g"}, [3, 2]),
            ({"tag": "red"}, [3, 1]),
            ({"tag": "re"}, []),
            ({"ids": ("job-0003", "job-0001", "job-none")}, [3, 1]),
            ({"ids": ()}, []),
            ({"thread": "t", "tag": "blue", "status": "queued"}, [1]),
            ({"batch": "g", "status": "cancelled", "ids": ("job-0002",)}, [2]),
            ({"batch": "g", "thread": "none"}, []),
        ]
        for fields, numbers in expected:
            assert await ids_of(store, **fields) == [f"job-{number:04}" for number in numbers], fields

    async def test_pages_of_jobs_neither_repeat_nor_skip(self, store: Store) -> None:
        for number in range(1, 8):
            await submit(store, f"job-{number:04}")
        page, after = await store.jobs(OWNER, JobFilter(limit=3))
        seen = [job.id for job in page]
        await submit(store, "job-0008")
        await store.end(OWNER, "job-0005", Cancelled(at=30.0))
        await store.delete(OWNER, "job-0005")
        while after is not None:
            page, after = await store.jobs(OWNER, JobFilter(limit=2, after=after))
            seen.extend(job.id for job in page)
        assert seen == [f"job-{number:04}" for number in (7, 6, 5, 4, 3, 2, 1)]

    async def test_full_last_page_has_no_next(self, store: Store) -> None:
        for number in range(1, 5):
            await submit(store, f"job-{number:04}")
        _, after = await store.jobs(OWNER, JobFilter(limit=2))
        page, after = await store.jobs(OWNER, JobFilter(limit=2, after=after))
        assert (len(page), after) == (2, None)

    @pytest.mark.parametrize("text", ["", "-1", "x", "1.5", "9" * 30, "٣"])  # a digit, but not ours
    async def test_invalid_page_is_refused(self, store: Store, text: str) -> None:
        with pytest.raises(InvalidRequestError) as caught:
            await store.jobs(OWNER, JobFilter(after=text))
        assert caught.value.field == "cursor"

    async def test_jobs_are_counted_by_status(self, store: Store) -> None:
        await ended(store, "job-0001")
        await running(store, "job-0002")
        await submit(store, "job-0003")
        await submit(store, "job-0004")
        assert await store.counts(OWNER) == {"completed": 1, "running": 1, "queued": 2}
