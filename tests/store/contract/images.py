"""Contract tests of stores: images of answers; a part of StoreContract."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from store.factories import DONE, HERE, OWNER, append, claim, ended, log_of, new_job, running, text_deltas

from jupyter_bgstream.core.batches import Batch, BatchSpec
from jupyter_bgstream.core.errors import BgStreamError, FencedError, IllegalEventError, NotFoundError
from jupyter_bgstream.core.events import Attempt, Event, Image, Waiting
from jupyter_bgstream.core.state import fold
from jupyter_bgstream.store.port_values import IMAGE_CHUNK, StoredImage
from jupyter_bgstream.store.ports.store import Store

PNG = b"\x89PNG\r\n\x1a\n"
SIZES = (1, IMAGE_CHUNK - 1, IMAGE_CHUNK, IMAGE_CHUNK + 1, 3 * IMAGE_CHUNK)


def new_image(id: str, size: int = 1000) -> tuple[Image, bytes]:
    """Make an image's event and its file, of which no two chunks are equal."""
    file = (PNG + b"".join(n.to_bytes(4) for n in range(size // 4)))[:size].ljust(size, b".")
    return Image(id=id, media_type="image/png", bytes=size), file


async def file_of(store: Store, image: StoredImage) -> bytes:
    """Read an image's file as a server does."""
    chunks = [await store.image_chunk(image, chunk) for chunk in range(-(-image.bytes // IMAGE_CHUNK))]
    assert all(len(chunk) == IMAGE_CHUNK for chunk in chunks[:-1])
    return b"".join(chunks)


class ImageContract:
    """Images: event and file are stored in one transaction and deleted with their job."""

    @pytest.mark.parametrize("size", SIZES)
    async def test_image_file_is_read_unchanged(self, store: Store, size: int) -> None:
        job = await running(store)
        image, file = new_image("1-1", size)
        await append(store, job, [*text_deltas("(Picture 1)"), image], files={"1-1": file})
        stored = await store.image(OWNER, job.id, "1-1")
        assert (stored.media_type, stored.bytes, stored.log) == ("image/png", size, job.log)
        assert await file_of(store, stored) == file
        (folded,) = fold(await log_of(store)).images
        assert (folded.id, folded.media_type, folded.bytes) == ("1-1", "image/png", size)
        for beyond in (-1, -(-size // IMAGE_CHUNK)):
            with pytest.raises(NotFoundError):
                await store.image_chunk(stored, beyond)

    async def test_images_of_earlier_attempts_stay(self, store: Store) -> None:
        job = await running(store)
        (one, first), (two, second), (other, third) = new_image("1-1"), new_image("1-2", 10), new_image("2-1", 20)
        await append(store, job, [one, two], files={"1-1": first, "1-2": second})
        await append(store, job, [Attempt(at=30.0, reason="retry"), other], files={"2-1": third})
        assert [image.id for image in fold(await log_of(store)).images] == ["2-1"]
        for id, file in (("1-1", first), ("1-2", second), ("2-1", third)):
            assert await file_of(store, await store.image(OWNER, job.id, id)) == file

    async def test_missing_image_is_not_found(self, store: Store) -> None:
        job = await running(store)
        image, file = new_image("1-1")
        await append(store, job, [image], files={"1-1": file})
        stored = await store.image(OWNER, job.id, "1-1")
        for owner, job_id, id in (("bob", job.id, "1-1"), (OWNER, "job-0002", "1-1"), (OWNER, job.id, "1-2")):
            with pytest.raises(NotFoundError):
                await store.image(owner, job_id, id)
        for change in ({"owner": "bob"}, {"job": "job-0002"}, {"id": "1-2"}, {"log": "0" * 8}):
            with pytest.raises(NotFoundError):
                await store.image_chunk(msgspec.structs.replace(stored, **change), 0)

    @pytest.mark.parametrize("files", [{}, {"1-2": b"x"}, {"1-1": b"x"}, {"1-1": new_image("")[1], "1-2": b"x"}])
    async def test_image_event_and_file_are_stored_together_or_not_at_all(
        self, store: Store, files: dict[str, bytes]
    ) -> None:
        job = await running(store)
        with pytest.raises(IllegalEventError):
            await append(store, job, [*text_deltas("a"), new_image("1-1")[0]], files=files)
        await self.assert_nothing_stored(store, ids=("1-1", "1-2"))

    async def test_repeated_image_id_is_refused(self, store: Store) -> None:
        job = await running(store)
        image, file = new_image("1-1")
        await append(store, job, [image], files={"1-1": file})
        again, other = new_image("1-1", 20)
        late = Waiting(at=30.0, until=31.0, code="rate_limited", message="Later.")
        twice: list[list[Event]] = [[again], [again, late]]  # with a change of the job's state, and without
        for events in twice:
            with pytest.raises(IllegalEventError):
                await append(store, job, events, files={"1-1": other})
        assert await file_of(store, await store.image(OWNER, job.id, "1-1")) == file
        assert len(await log_of(store)) == 3

    async def test_refused_image_keeps_other_operations_of_its_transaction(self, store: Store) -> None:
        job = await running(store)
        image, file = new_image("1-1")
        writes = [append(store, job, [image], files=files) for files in ({"1-1": file}, {}, {"1-1": file})]
        done = await asyncio.gather(*writes, append(store, job, text_deltas("a")), return_exceptions=True)
        assert [each if isinstance(each, int) else type(each) for each in done] == [
            3,
            IllegalEventError,
            IllegalEventError,
            4,
        ]

    async def test_fenced_writer_stores_no_image(self, store: Store) -> None:
        job = await running(store)
        image, file = new_image("1-1")
        await store.adopt(job, server=HERE, event=Waiting(at=30.0, until=30.0, code="server_died", message="It died."))
        with pytest.raises(FencedError):
            await append(store, job, [image], files={"1-1": file})
        with pytest.raises(NotFoundError):
            await store.image(OWNER, job.id, "1-1")

    async def test_images_are_counted_and_deleted_with_their_job(self, store: Store) -> None:
        await ended(store, "job-0002", owner="bob")
        job = await running(store)
        before, mine = await store.size(owner=None), await store.size(owner=OWNER)
        image, file = new_image("1-1", 3_000_000)
        await append(store, job, [image], files={"1-1": file})
        await store.end(OWNER, job.id, DONE)
        assert await store.size(owner=None) - before > 3_000_000
        assert 3_000_000 < await store.size(owner=OWNER) - mine < 3_010_000
        assert await store.size(owner="bob") < 10_000
        (old,) = await store.expired_jobs(owner=OWNER, before=99.0, unread=True, limit=9)
        assert old.bytes == await store.size(owner=OWNER)
        stored = await store.image(OWNER, job.id, "1-1")
        await store.delete(OWNER, job.id)
        assert await store.size(owner=None) < before + 100_000
        await running(store)  # the same id is another job, without the image
        for read in (store.image(OWNER, job.id, "1-1"), store.image_chunk(stored, 0)):
            with pytest.raises(NotFoundError):
                await read

    async def test_answers_of_a_batch_name_their_images(self, store: Store) -> None:
        batch = Batch(spec=BatchSpec(id="batch-01", total=2), owner=OWNER, total=2, created_at=10.0)
        jobs = [new_job("job-0001", batch="batch-01"), new_job("job-0002", batch="batch-01")]
        await store.submit_batch(batch, jobs, max_queued=9)
        first, second = await claim(store)
        for job in (first, second):
            image, file = new_image("1-1")
            await append(store, job, [*text_deltas("(Picture 1)"), image], files={"1-1": file})
        await store.end(OWNER, first.id, DONE)
        places, _, _ = await store.answers(OWNER, "batch-01", after=None, limit=9, max_bytes=10_000)
        assert {place.job.id: [image.id for image in place.images] for place in places} == {
            first.id: ["1-1"],
            second.id: [],
        }

    async def assert_nothing_stored(self, store: Store, ids: Sequence[str]) -> None:
        """Check that a running job has neither an event nor a file of an image."""
        assert len(await log_of(store)) == 2
        for id in ids:
            with pytest.raises(BgStreamError, match="no image"):
                await store.image(OWNER, "job-0001", id)
