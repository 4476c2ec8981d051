"""Lease of a machine on a database on a file system that several machines share.

The lease consists of two small files in the servers' folder. ``lease`` names the machine that holds the database and is
written only by a machine that takes it. ``lease-<token>`` is the machine's heartbeat, which every server there renews.
A machine that finds another one's lease watches the heartbeat for longer than the interval of renewals, by its own
clock: if it changes, the other machine is alive; if not, the database is taken over. The machine that lost it detects
that before its next transaction and before its next commit, and neither reads nor writes the database again.

Neither locks nor wall clocks are used: they are not reliable between machines. See docs/explanation/decisions/0011.
"""

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
WATCH = 10.0  # seconds without a renewal after which another machine has lost the lease
LOOK = 0.25  # seconds between reads of another machine's heartbeat
SETTLE = 0.25  # seconds after which a new lease is read again, because another machine may have taken it as well
TRIES = 240  # reads, for a minute, of a lease that exists but cannot be read yet
TOKEN_BYTES = 8
SIZE = 1024  # bytes of each file, written at once and in place: a read sees the old or the new, never a part
CLOSED = "closed"
_TOKEN = re.compile("[0-9a-f]{1,64}")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class TakenOverError(UnavailableError, FencedError):
    """Another machine has taken the database: this server may neither read nor write it any more."""


class UnreadableError(OSError):
    """The file ``lease`` exists but names no machine: its writer died or has not finished."""


class Machine(NamedTuple):
    """A machine from one boot to the next."""

    host: str
    boot: str  # id of the boot; "" if unknown


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The holder of the database, as the file ``lease`` names it."""

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
    """Return the holder of the database; None if it never had one.

    Raises:
        OSError: The lease cannot be read.
    """
    for _ in range(3):
        try:
            content = (folder / NAME).read_bytes()
        except FileNotFoundError:
            return None
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            holder = msgspec.json.decode(content.strip(b" \0"), type=Holder)
            if _TOKEN.fullmatch(holder.token):  # it becomes part of a file name
                return holder
        time.sleep(0.01)
    raise UnreadableError(f"{folder / NAME} names no machine")


def read_heartbeat(folder: Path, holder: Holder) -> str:
    """Return the heartbeat of a lease: it changes while its machine is alive, and is CLOSED after its release."""
    try:
        return (folder / f"{NAME}-{holder.token}").read_bytes().strip(b" \0").decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


class Lease:
    """The lease of this machine on one database. Thread-safe.

    Several servers of one machine share it; locks, which are reliable there, distinguish them.
    """

    def __init__(self, folder: Path, path: Path, server: str, *, machine: Machine, watch: float = WATCH) -> None:
        self._folder = folder
        self._path = path  # of the database, for messages
        self._server = server
        self._machine = machine
        self._watch = watch
        self._holder: Holder | None = None
        self._beats = 0

    def acquire(self, stop: threading.Event) -> Holder | None:
        """Take the lease.

        Takes no time if this machine has it or no machine had it, SETTLE if it was released, and up to ``watch``
        seconds if its machine has died.

        Returns:
            The previous holder if it is another machine.

        Raises:
            UnavailableError: Another machine renews it, or ``stop`` was set.
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
                _pause(stop, SETTLE)  # another machine makes it, and it becomes visible late
            raise FileExistsError(errno.EEXIST, "it is there and cannot be read", str(self._folder / NAME))
        except OSError as error:
            raise UnavailableError(f"The lease of the database {self._path} cannot be taken: {error}.") from error

    def check(self) -> None:
        """Check that this machine still has the lease.

        Raises:
            TakenOverError: Another machine has taken it.
            UnavailableError: It cannot be read.
        """
        assert self._holder is not None
        try:
            now = read_holder(self._folder)
        except OSError as error:
            raise UnavailableError(f"The lease of the database {self._path} cannot be read: {error}.") from error
        if now is None or now.token == self._holder.token:
            return
        if (now.host, now.boot) == self._machine:  # another server of this machine made it again
            self._holder = now
        else:
            raise TakenOverError(
                f"The machine {now.host} has taken over the database {self._path}, because this server had not"
                f" renewed its lease for {self._watch:g} seconds. This server neither reads nor writes it any more."
                " Restart this server if the jobs are to run here again."
            )

    def renew(self) -> None:
        """Renew the heartbeat; call after ``check``.

        Raises:
            OSError: The heartbeat cannot be written.
        """
        assert self._holder is not None
        if not (self._folder / NAME).exists():  # the folder was deleted
            self._create(self._holder)
        self._beat()

    def release(self) -> None:
        """Release the lease, so that another machine need not wait. For the last server of this machine only."""
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
        """Wait until another machine has released the lease, or its heartbeat has not changed for long enough."""
        began = time.monotonic()
        first = read_heartbeat(self._folder, before)
        while first != CLOSED:
            _pause(stop, LOOK)
            late = time.monotonic() - began >= self._watch
            now = read_heartbeat(self._folder, before)  # after the clock: this process may have been frozen as well
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
        """Take the lease; return whether this machine has it now.

        Raises:
            UnavailableError: Another machine was faster.
        """
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
        # In place: other machines see new content of a known file, but may not see a new file for a while.
        fd = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(fd, text.encode().ljust(SIZE))
            os.ftruncate(fd, SIZE)  # remove what another program may have appended
        finally:
            os.close(fd)  # on a network disk, closing sends it


def _pause(stop: threading.Event, seconds: float) -> None:
    if stop.wait(seconds):
        raise UnavailableError("This server is shutting down.")
