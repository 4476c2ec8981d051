"""A process of a test whose output is read line by line."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

START_SECONDS = 120.0
STOP_SECONDS = 60.0


class LoggedProcess:
    """A process in a session of its own; ``log`` holds its output."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> None:
        self.log: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # closed
            for line in self._process.stdout:
                self.log.append(line)
                self._lines.put(line)
        self._lines.put(None)

    @property
    def pid(self) -> int:
        return self._process.pid

    def await_line(self, *signs: str, seconds: float = START_SECONDS) -> str:
        """Return the next line that holds one of these texts."""
        deadline = time.monotonic() + seconds
        with contextlib.suppress(queue.Empty):
            while (line := self._lines.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
                if any(sign in line for sign in signs):
                    return line
        raise AssertionError(f"no line with {' or '.join(map(repr, signs))}:\n" + "".join(self.log[-80:]))

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal and wait for the end; idempotent. Its children may live on, and write into its log."""
        if self._process.poll() is None:
            os.kill(self.pid, how)
            self._process.wait(timeout=STOP_SECONDS)

    def close(self) -> None:
        """Kill the process, and close its log when its children have ended as well."""
        self.end(signal.SIGKILL)
        self._reader.join(timeout=STOP_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()
