"""A server extension for these tests alone: it tells from inside what /proc cannot, and who held the event loop.

It is loaded beside the package, which does not know of it. A callback holds the loop for as long as it takes, less the
time in which this process had no processor: a busy machine takes that from us, our own code does not. Linux counts the
latter for each thread (the second number of schedstat, nanoseconds). Waiting for the interpreter's lock counts as
holding: another thread of ours has it then. The garbage collector is counted apart.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
import traceback
from collections import Counter, deque
from pathlib import Path
from types import FrameType
from typing import Any

from jupyter_server.base.handlers import APIHandler
from tornado.web import authenticated

NOTED = 0.020  # seconds from which a callback is looked at
LOOK = 0.010  # seconds between looks from beside the loop
LATE = 0.060  # seconds between two looks that were kept apart


def waited_for_a_processor() -> dict[str, float]:
    """Seconds that each thread of this process was ready to run and did not."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            found[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
        except (OSError, IndexError):  # it has ended
            continue
    return found


class Watch:
    """Measures every callback of the event loop it is made in."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._task = str(threading.get_native_id())
        self._run = asyncio.events.Handle._run
        self._looks = deque([(time.monotonic(), waited_for_a_processor())], maxlen=100)
        self._since = 0.0  # when the callback under way began; 0: there is none
        self._places: list[str] = []  # where the callback under way was seen
        self.others: list[str] = []  # where our threads were when the interpreter's lock had been kept for long
        self._collecting = 0.0  # seconds that the garbage collector took in the callback under way
        self._collecting_here = 0.0  # of CPU, those on this thread
        self._collection: tuple[float, float] | None = None  # when it began, monotonic and in CPU seconds of its thread
        self.reset()
        gc.callbacks.append(self._collect)
        asyncio.events.Handle._run = self._measured()  # type: ignore[method-assign]
        for looking in (self._look, self._see):
            threading.Thread(target=looking, name="probe", daemon=True).start()

    def reset(self) -> None:
        self.callbacks = 0
        self.collections: list[float] = []  # CPU seconds of each full collection
        self.slow: list[dict[str, Any]] = []

    def _collect(self, phase: str, info: dict[str, int]) -> None:
        # Python looks at all of Jupyter's objects now and then, in whichever callback or thread that happens to be;
        # all others wait meanwhile.
        if phase == "start":
            self._collection = time.monotonic(), time.thread_time()
            return
        assert self._collection is not None
        wall, busy = time.monotonic() - self._collection[0], time.thread_time() - self._collection[1]
        self._collection = None
        self._collecting += wall
        if threading.get_ident() == self._thread:
            self._collecting_here += busy
        if info["generation"] == 2:
            self.collections.append(busy)

    def _measured(self) -> Any:
        watch, run, thread = self, self._run, self._thread

        def measured(handle: asyncio.Handle) -> None:
            if threading.get_ident() != thread:
                run(handle)
                return
            callback, busy, began = handle._callback, time.thread_time(), time.monotonic()
            watch._since = began
            watch._collecting = watch._collecting_here = 0.0
            run(handle)
            watch._since = 0.0
            watch.callbacks += 1
            if (wall := time.monotonic() - began) > NOTED:
                watch._note(callback, began, wall, time.thread_time() - busy)

        return measured

    def _note(self, callback: Any, began: float, wall: float, busy: float) -> None:
        before = next((waited for at, waited in reversed(list(self._looks)) if at <= began), self._looks[0][1])
        waits = {task: waited - before.get(task, 0.0) for task, waited in waited_for_a_processor().items()}
        # Another thread may have had the interpreter's lock, and no processor to run on.
        starved = waits.pop(self._task) + max(waits.values(), default=0.0)
        if (collection := self._collection) is not None:  # done, but its thread has not yet come to say so
            self._collecting += time.monotonic() - collection[0]
        places, self._places = self._places, []
        ((where, _),) = Counter(places).most_common(1) or (("", 0),)
        held = max(busy - self._collecting_here, wall - starved - self._collecting)
        others, self.others = self.others, []
        self.slow.append(
            {
                "name": name_of(callback),
                "where": where,
                "held": held,
                "wall": wall,
                "cpu": busy,
                "starved": starved,
                "collecting": self._collecting,
                "others": others,
            }
        )

    def _look(self) -> None:
        while True:
            time.sleep(LOOK)
            late = time.monotonic() - self._looks[-1][0] > LATE
            self._looks.append((time.monotonic(), waited_for_a_processor()))
            if late:  # whoever had the interpreter's lock has just let go of it
                self.others = [
                    f"{thread.name}: {place_of(sys._current_frames().get(thread.ident or 0))}"
                    for thread in threading.enumerate()
                    if thread.name.startswith("bgstream")
                ]

    def _see(self) -> None:
        # In a thread of its own: each file that _look reads lets go of the interpreter's lock, and who computes gives
        # it back only after 5 ms; one look of that kind may outlast what it should see.
        while True:
            time.sleep(LOOK)
            since = self._since
            if since and time.monotonic() - since > NOTED:
                where = place_of(sys._current_frames().get(self._thread))
                if self._since == since:
                    self._places.append(where)


def place_of(frame: FrameType | None) -> str:
    calls = [f"{Path(call.filename).name}:{call.lineno} {call.name}" for call in traceback.extract_stack(frame)]
    return " < ".join(reversed(calls[-6:]))


def name_of(callback: Any) -> str:
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return getattr(owner.get_coro(), "__qualname__", repr(owner))
    return getattr(callback, "__qualname__", repr(callback))


class Probe(APIHandler):
    """``probe``: GET tells, POST asks for mischief, DELETE forgets what was measured."""

    @authenticated
    def get(self) -> None:
        watch: Watch = self.settings["probe"]
        collections = list(watch.collections)
        gc.collect()
        tasks = Counter(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks())
        threads = Counter(thread.name.rstrip("0123456789_-") for thread in threading.enumerate())
        self.finish(
            json.dumps(
                {
                    "tasks": tasks,
                    "threads": threads,
                    "callbacks": watch.callbacks,
                    "collections": collections,
                    "slow": watch.slow,
                }
            )
        )

    @authenticated
    def post(self) -> None:
        asked = json.loads(self.request.body)
        if "sleep" in asked:
            time.sleep(asked["sleep"])
        until = time.thread_time() + asked.get("compute", 0.0)
        while time.thread_time() < until:
            pass
        self.finish("{}")

    @authenticated
    def delete(self) -> None:
        self.settings["probe"].reset()
        self.finish("{}")


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "probe"}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.web_app.add_handlers(".*$", [(f"{server.base_url}probe", Probe)])


async def _start_jupyter_server_extension(server: Any) -> None:
    server.web_app.settings["probe"] = Watch()
