"""The rows of a batch are uploaded in requests of bounded size, and later if the queue is full."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from jupyter_bgstream.client import NotFoundError, QueueFullError
from jupyter_bgstream.client import batch as batches
from jupyter_bgstream.client.background_loop import Background
from jupyter_bgstream.client.batch.upload import JOBS, Upload, bodies
from jupyter_bgstream.core.costs import Price
from jupyter_bgstream.core.schemas.batches import BatchInfo


class Refusing:
    """A server whose queue is full at the given calls, and after the first one unless there is room."""

    def __init__(self, *refusals: int, room: bool = True) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.calls = 0
        self.room = room
        self._refusals = refusals

    async def price(self, model: str | None) -> Price:
        return Price(model="m/n")

    async def batch(self, batch_id: str) -> BatchInfo:
        if not self.bodies:
            raise NotFoundError("There is none.")
        return self._form()

    async def aclose(self) -> None:
        pass

    async def submit_batch(self, body: bytes) -> BatchInfo:
        self.calls += 1
        if self.calls in self._refusals or (self.bodies and not self.room):
            raise QueueFullError("Full.", retry_after=0)
        self.bodies.append(msgspec.json.decode(body))
        return self._form()

    def _form(self) -> BatchInfo:
        sent = sum(len(body["jobs"]) for body in self.bodies)
        form = {"id": "g", "status": "running", "title": "", "total": 1200, "submitted": sent, "queued": sent}
        form |= {"running": 0, "waiting": 0, "counts": {}, "usage": {}, "created_at": 1.0}
        return msgspec.convert(form | ({"ended_at": 2.0} if sent == 1200 else {}), BatchInfo)


async def test_rows_are_uploaded_within_server_limits() -> None:
    requests = [{"prompt": f"row {n}"} for n in range(2 * JOBS + 200)]
    requests[3] = {"prompt": "x" * 9_000_000}
    api = Refusing(3)
    sending = Upload(bodies({"id": "g", "total": len(requests)}, {"model": "m/n"}, requests))
    await sending.run(api)  # type: ignore[arg-type]
    assert [len(body["jobs"]) for body in api.bodies] == [3, 1, 500, 500, 196]
    jobs = [job for body in api.bodies for job in body["jobs"]]
    assert [job["prompt"] for job in jobs] == [request["prompt"] for request in requests]
    assert jobs[-1] == {"id": f"g-r{len(requests) - 1}", "prompt": requests[-1]["prompt"], "model": "m/n"}
    assert sending.stalled.is_set()


def test_remaining_rows_are_uploaded_when_queue_has_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Refusing(room=False)
    background: Background[Any] = Background(lambda: server)
    monkeypatch.setattr("jupyter_bgstream.client.batch.request.default_background", background)
    try:
        batch = batches.map(range(1200), "{row}")
        assert "full: 500 of 1,200 rows are submitted. This kernel submits the rest" in capsys.readouterr().out
        server.room = True
        batch.wait()
        assert [len(body["jobs"]) for body in server.bodies] == [500, 500, 200]
    finally:
        background.close()


async def test_queue_full_at_first_upload_raises() -> None:
    sending = Upload(bodies({"id": "g", "total": 1}, {}, [{"prompt": "x"}]))
    with pytest.raises(QueueFullError):
        await asyncio.wait_for(sending.run(Refusing(1)), 10)  # type: ignore[arg-type]
    assert sending.begun.is_set()
