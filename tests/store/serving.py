"""Opens stores on a file, here and in other processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from store.factories import HERE

import jupyter_bgstream
from jupyter_bgstream.store.sqlite import SQLiteStore

PACKAGE = Path(jupyter_bgstream.__file__).parents[1]
DEADLINE = 60  # seconds; nothing here takes one, unless something is wrong


@asynccontextmanager
async def opened(database, server=HERE, **options):
    store = SQLiteStore(database, server=server, **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


class Server:
    """A child process that runs server.py."""

    def __init__(self, database, name, options, inside):
        self.job = f"job-{name}"
        command = [sys.executable, Path(__file__).with_name("server.py"), database, name, json.dumps(options)]
        self._process = subprocess.Popen(
            [*inside, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(PACKAGE)},
        )

    async def hear(self):
        async with asyncio.timeout(DEADLINE):
            return (await asyncio.to_thread(self._process.stdout.readline)).strip()

    def say(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    async def ask(self, line):
        self.say(line)
        return await self.hear()

    def stop(self):
        self._process.send_signal(signal.SIGSTOP)
        self.wait_until_stopped()

    def wait_until_stopped(self):
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    async def end(self):
        """Let it close in good order."""
        self._process.stdin.close()
        await asyncio.to_thread(self._process.wait)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def kill(self):
        """Kill it and return the lines it had still written."""
        self._process.kill()
        rest = self._process.stdout.read().splitlines()
        self._process.wait()
        return rest

    def close(self):
        self._process.kill()
        self._process.stdout.read()
        self._process.wait()
        self._process.stdout.close()
        with suppress(OSError):  # what it has not read
            self._process.stdin.close()


@asynccontextmanager
async def serving(database, name="two", *, ready=True, inside=(), **options):
    server = Server(database, name, options, inside)
    try:
        if ready:
            assert await server.hear() == "ready"
        yield server
    finally:
        server.close()
