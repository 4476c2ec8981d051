"""A service in a thread of its own that sends bytes as they are, whatever HTTP says of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path


@contextlib.contextmanager
def raw(answer: Callable[[], Iterable[bytes]]) -> Iterator[str]:
    """Serve the same bytes to every request while the ``with`` lasts; yields the base_url."""
    listening = socket.create_server(("127.0.0.1", 0))

    def converse(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := connection.recv(65536)):
                    return
                head += data
            for piece in answer():
                connection.sendall(piece)
            # A socket that is closed before it has read the whole request resets the connection.
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=converse, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, name="raw-service", daemon=True).start()
    with listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


class Strain:
    """What a piece of work took while the ``async with`` lasted, of memory and of the event loop."""

    def __init__(self) -> None:
        self.grown = 0  # MB that this process had at most, beyond those at the beginning; 0 where no system says so
        self.longest = 0.0  # CPU seconds of this thread between two turns of the loop

    async def __aenter__(self) -> Strain:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak before
        # What other tests left behind is not counted: a full collection of it takes tenths of a second.
        gc.collect()
        gc.freeze()
        self._before = _peak()
        self._beating = asyncio.create_task(self._beat())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.sleep(0)
        self._beating.cancel()
        gc.unfreeze()
        self.grown = _peak() - self._before

    async def _beat(self) -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            self.longest = max(self.longest, time.thread_time() - began)


def _peak() -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1000
    return 0
