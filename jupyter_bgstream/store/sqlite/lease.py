"""Which machine may write a database on a file system that several machines share.

The lease is two small files in the servers' folder. ``lease`` names the machine that has the database, and is written
only by a machine that takes it. ``lease-<token>`` is the machine's heartbeat, which every server there renews. A
machine that finds another's lease watches the heartbeat for longer than the renewals are apart, by its own clock: if it
changes, the other is alive; if not, the database is taken. The machine that lost it reads that before its next
transaction and before its next commit, and neither reads nor writes the database again.

Locks are not asked, because they are not reliable between machines, and neither are wall clocks. See
docs/decisions/0011.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from ...core.errors import FencedError, UnavailableError

NAME = "lease"
RENEWAL = 2.0  # seconds between renewals
WATCH = 10.0  # seconds without a renewal after which another machine has lost the database
LOOK = 0.25  # seconds between looks at another machine's heartbeat
SETTLE = 0.25  # seconds after which a lease that was taken is read again, since another machine may take it as well
TRIES = 240  # looks at a lease that cannot be made, because it is there, nor be read, because it is not: for a minute
TOKEN_BYTES = 8
SIZE = 1024  # bytes of each file, written at once and in place: a read sees the old or the new, never a part
CLOSED = "closed"
_TOKEN = re.compile("[0-9a-f]{1,64}")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class TakenOverError(UnavailableError, FencedError):
    """Another machine has taken the database: this server may neither read nor write it any more."""


class UnreadableError(OSError):
    """The file ``lease`` is there and names nobody: its writer died in between, or is about to go on."""


class Machine(NamedTuple):
    """One life of one machine."""

    host: str
    boot: str  # "" where the system does not tell


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who has the database, as the file ``lease`` says."""

    host: str
    boot: str
    token: str  # names the file of the heartbeat


UNKNOWN = Holder(host="an unknown one", boot="", token="")


def this_machine() -> Machine:
    """Return this machine's name and the id of its boot."""
    try:
        boot = BOOT_ID.read_text("ascii").strip()
    except (OSError, ValueError):
        boot = ""
    return Machine(socket.gethostname(), boot)


def read_holder(folder: Path) -> Holder | None:
    """Return who has the database, None if nobody had it yet; raises OSError if it cannot be read."""
    for _ in range(3):
        try:
            content = (folder / NAME).read_bytes()
        except FileNotFoundError:
            return None
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            holder = msgspec.json.decode(content.strip(b" \0"), type=Holder)
            if _TOKEN.fullmatch(holder.token):  # it is part of a file's name
                return holder
        time.sleep(0.01)
    raise UnreadableError(f"{folder / NAME} names no machine")


def read_heartbeat(folder: Path, holder: Holder) -> str:
    """Return a lease's heartbeat: it changes while its machine is alive, and is CLOSED once that has let go."""
    try:
        return (folder / f"{NAME}-{holder.token}").read_bytes().strip(b" \0").decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


class Lease:
    """The lease of this machine on one database; may be used from any thread.

    Several servers of one machine share it; their locks, which are reliable there, tell them apart.
    """

    def __init__(self, folder: Path, path: Path, server: str, *, machine: Machine, watch: float = WATCH) -> None:
        self._folder = folder
        self._path = path  # of the database, to be named
        self._server = server
        self._machine = machine
        self._watch = watch
        self._holder: Holder | None = None
        self._beats = 0

    def acquire(self, stop: threading.Event) -> Holder | None:
        """Take the lease; returns the machine that had it before, if that is another one.

        Raises UnavailableError while another machine renews it, or if ``stop`` is set. Takes no time if this machine
        has it or nobody had it, SETTLE if it was given back, and up to ``watch`` if its machine has died.
        """
        token = secrets.token_hex(TOKEN_BYTES)
        try:
            for _ in range(TRIES):
                before = self._read()
                if before is not None and (before.host, before.boot) == self._machine:
                    self._holder = before
                    self._beat()
                    return None
                if before is not None:
                    self._wait_for(before, stop)
                if self._take(before, token, stop):
                    self._clear_up()
                    return before
                _pause(stop, SETTLE)  # another machine makes it, and it is seen late
            raise FileExistsError(errno.EEXIST, "it is there and cannot be read", str(self._folder / NAME))
        except OSError as error:
            raise UnavailableError(f"The lease of the database {self._path} cannot be had: {error}.") from error

    def check(self) -> None:
        """Raise TakenOverError if another machine has the database, UnavailableError if that cannot be told."""
        assert self._holder is not None
        try:
            now = read_holder(self._folder)
        except OSError as error:
            raise UnavailableError(f"The lease of the database {self._path} cannot be read: {error}.") from error
        if now is None or now.token == self._holder.token:
            return
        if (now.host, now.boot) == self._machine:  # another server here made it anew; their locks tell them apart
            self._holder = now
        else:
            raise TakenOverError(
                f"The machine {now.host} has taken over the database {self._path}, because this server had not"
                f" renewed its lease for {self._watch:g} seconds. This server neither reads nor writes it any more."
                " Restart this server if the jobs are to run here again."
            )

    def renew(self) -> None:
        """Show that this machine is alive, after a check; raises OSError if the heartbeat cannot be written."""
        assert self._holder is not None
        if not (self._folder / NAME).exists():  # somebody has deleted the folder
            self._create(self._holder)
        self._beat()

    def release(self) -> None:
        """Let go of the database, so that another machine need not wait. Only for the last server of this machine."""
        assert self._holder is not None
        with suppress(OSError, UnavailableError):
            self.check()
            self._write(f"{NAME}-{self._holder.token}", CLOSED)

    def _read(self) -> Holder | None:
        try:
            return read_holder(self._folder)
        except UnreadableError:
            return UNKNOWN

    def _wait_for(self, before: Holder, stop: threading.Event) -> None:
        """Wait until another machine's heartbeat says that it has let go, or has stood still for long enough."""
        began = time.monotonic()
        first = read_heartbeat(self._folder, before)
        while first != CLOSED:
            _pause(stop, LOOK)
            late = time.monotonic() - began >= self._watch
            now = read_heartbeat(self._folder, before)  # after the look at the clock: we may have been frozen as well
            if now not in (first, CLOSED) or self._read() != before:
                raise UnavailableError(
                    f"The database {self._path} is used by a server on another machine, {before.host}, that is still"
                    " alive. Stop that server. When it has ended, or its machine is gone, this one can start and goes"
                    " on with its jobs."
                )
            if late:
                return
            first = now

    def _take(self, before: Holder | None, token: str, stop: threading.Event) -> bool:
        """Return whether the lease is this machine's now; raises UnavailableError if another one was faster."""
        mine = Holder(host=self._machine.host, boot=self._machine.boot, token=token)
        self._holder = mine
        self._beat()
        if before is None:
            return self._create(mine)
        self._write(NAME, msgspec.json.encode(mine).decode())
        _pause(stop, SETTLE)
        if self._read() != mine:
            raise UnavailableError(
                f"A server on another machine has taken the database {self._path} at the same moment; try again."
            )
        return True

    def _clear_up(self) -> None:
        assert self._holder is not None
        for path in self._folder.glob(f"{NAME}-*"):
            if path.name != f"{NAME}-{self._holder.token}":
                path.unlink(missing_ok=True)

    def _create(self, holder: Holder) -> bool:
        try:
            fd = os.open(self._folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        os.close(fd)
        self._write(NAME, msgspec.json.encode(holder).decode())
        return True

    def _beat(self) -> None:
        assert self._holder is not None
        self._beats += 1
        self._write(f"{NAME}-{self._holder.token}", f"{self._server} {self._beats}")

    def _write(self, name: str, text: str) -> None:
        # In place: another machine that knows the file sees its new content, but may not see a new file for a while.
        fd = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(fd, text.encode().ljust(SIZE))
            os.ftruncate(fd, SIZE)  # what another program has left behind would be read as well
        finally:
            os.close(fd)  # on a network this sends it


def _pause(stop: threading.Event, seconds: float) -> None:
    if stop.wait(seconds):
        raise UnavailableError("This server is shutting down.")
