"""Find the Jupyter server this process belongs to, and open its API. See PROTOCOL.md, "The kernel's runtime file"."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import msgspec
from jupyter_core.paths import jupyter_runtime_dir

from ..core.codec import PROTOCOL_VERSION
from ..core.runtime import Runtime
from .errors import (
    MultipleServersError,
    ServerConnectionError,
    ServerNotFoundError,
    ServerUnreachableError,
    VersionMismatchError,
)

RUNTIME_VARIABLE = "JUPYTER_BGSTREAM_RUNTIME"

_CONTACT = 15.0  # seconds for the first answer, which a server holds for up to 12 s while it starts
_ANSWER = 30.0  # seconds for any other answer
_REMEDY = "start JupyterLab again, and restart this kernel if that does not help."
_REMEDY_SERVE = "start `jupyter bgstream serve` again."
_SERVE = "start `jupyter bgstream serve` in a terminal"


class _Status(msgspec.Struct, frozen=True):
    """The part of ``GET status`` that says whether this is the server and whether we speak its language."""

    server: str
    protocol: int
    version: str


class _Refusal(msgspec.Struct, frozen=True):
    """The part of a refusal that says why there is no engine."""

    code: Literal["unavailable"]
    message: str


@dataclass(frozen=True)
class Connection:
    """An open way to one server."""

    runtime: Runtime
    http: httpx.AsyncClient


async def connect() -> Connection:
    """Open the API of this process's own server, or else of the only one that is alive.

    Of several that are alive it is the only ``jupyter bgstream serve``. Raises ServerNotFoundError,
    MultipleServersError, ServerUnreachableError or VersionMismatchError.
    """
    every = runtime_files()
    own = _own(every)
    problems: list[ServerConnectionError] = []
    for path in own:
        try:
            return await open_server(path)
        except ServerUnreachableError as problem:
            if problem.busy:
                raise  # another server may not know this one's jobs
            problems.append(problem)
    # A restarted server has a new file, a new port and a new token: what outlived the old one finds it here.
    alive: dict[Path, Connection] = {}
    for path in every:
        if path not in own:
            try:
                alive[path] = await open_server(path)
            except ServerConnectionError as problem:
                problems.append(problem)
    chosen = _chosen(list(alive.values()))
    for connection in alive.values():
        if connection is not chosen:
            await connection.http.aclose()
    if chosen is None:
        raise _why_none(alive, problems, told=bool(own))
    return chosen


def has_own_server() -> bool:
    """Whether a Jupyter server with this extension has started this process and is there, as far as the files say."""
    found = [read_runtime(path) for path in _own(runtime_files())]
    return any(runtime is not None and runtime.kind == "jupyter" for runtime in found)


def is_server_kernel() -> bool:
    """Whether a Jupyter server with this extension has started this kernel, and no program that it runs."""
    found = [read_runtime(path) for path in _of_parent(runtime_files())]
    return any(runtime is not None and runtime.kind == "jupyter" for runtime in found)


def runtime_files() -> list[Path]:
    """Return the files of all servers of this user, dead ones too."""
    return sorted(Path(jupyter_runtime_dir()).glob("bgstream-*.json"))


def _own(every: Sequence[Path]) -> list[Path]:
    # A kernel's server tells it the file; failing that, the server is the parent process.
    told = os.environ.get(RUNTIME_VARIABLE)
    own = [Path(told)] if told else []
    return own + [path for path in _of_parent(every) if path not in own]


def _of_parent(every: Sequence[Path]) -> list[Path]:
    parent = os.environ.get("JPY_PARENT_PID")
    if parent is None or sys.platform == "win32":  # there it is a handle, not a pid
        return []
    return [path for path in every if (found := read_runtime(path)) and str(found.pid) == parent]


def _chosen(alive: Sequence[Connection]) -> Connection | None:
    if len(alive) == 1:
        return alive[0]
    serving = [connection for connection in alive if connection.runtime.kind == "serve"]
    return serving[0] if len(serving) == 1 else None


def _why_none(
    alive: dict[Path, Connection], problems: Sequence[ServerConnectionError], *, told: bool
) -> ServerConnectionError:
    if alive:
        names = ", ".join(f"{connection.runtime.url} ({path})" for path, connection in alive.items())
        return MultipleServersError(
            f"Several Jupyter servers answer: {_SERVE}, which is then the one, "
            f"or set {RUNTIME_VARIABLE} to one of these files: {names}."
        )
    for problem in problems:
        if isinstance(problem, VersionMismatchError):
            return problem
    for problem in problems:
        if told or (isinstance(problem, ServerUnreachableError) and problem.busy):
            return problem
    # What others have left when they were killed is no news for who knows none of them.
    return ServerNotFoundError(
        f"No Jupyter server with jupyter_bgstream is running: {_SERVE}, or JupyterLab with jupyter_bgstream "
        f"installed, or set {RUNTIME_VARIABLE} to the path of a running server's bgstream-….json."
    )


def is_foreign(path: Path) -> bool:
    """Whether another user has put this runtime file into the folder: prompts would go to a server of theirs."""
    return _is_foreign(path.stat(), path)


def _is_foreign(status: os.stat_result, path: Path) -> bool:
    # Some network disks give all files one owner, then the folder too.
    return sys.platform != "win32" and status.st_uid not in (os.geteuid(), 0, path.parent.stat().st_uid)


def read_runtime(path: Path) -> Runtime | None:
    """Read a runtime file; None if it is gone, or none, or another user's."""
    try:
        with path.open("rb") as file:  # one file, whatever is put in its place meanwhile
            if _is_foreign(os.fstat(file.fileno()), path):
                return None
            return msgspec.json.decode(file.read(), type=Runtime)
    except (OSError, msgspec.DecodeError):
        return None


def _is_address(url: str) -> bool:
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return False
    return parts.scheme in ("http", "https") and bool(parts.host) and (parts.port or 80) < 65536


async def open_server(path: Path) -> Connection:
    """Open the API of the server of a runtime file; raises ServerUnreachableError or VersionMismatchError."""
    runtime = read_runtime(path)
    if runtime is None:
        raise ServerUnreachableError(f"The Jupyter server of the runtime file {path} has stopped: {_REMEDY}")
    if not _is_address(runtime.url):
        raise ServerUnreachableError(f"The runtime file {path} is damaged: delete it, or restart its Jupyter server.")
    http = httpx.AsyncClient(
        base_url=runtime.url,
        headers={"Authorization": f"token {runtime.token}"},
        timeout=_ANSWER,
        trust_env=False,  # or HTTP_PROXY would be asked for localhost
        verify=_needs_certificate(runtime.url),
        # No upper limit: with one, httpcore loses connections when requests are cancelled while they queue for it.
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=10),
    )
    try:
        await _check(runtime, http)
    except BaseException:
        await http.aclose()
        raise
    return Connection(runtime, http)


def _needs_certificate(url: str) -> bool:
    # A server's own certificate names its host, never the loopback address, and on this address it proves nothing
    # that the token does not. Without https there is none to check, and loading the authorities takes 20 ms.
    parsed = httpx.URL(url)
    if parsed.scheme != "https" or parsed.host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(parsed.host).is_loopback
    except ValueError:
        return True


def _reason(content: bytes) -> str | None:
    try:
        return msgspec.json.decode(content, type=_Refusal).message
    except msgspec.DecodeError:  # not ours: a proxy's, say
        return None


async def _check(runtime: Runtime, http: httpx.AsyncClient) -> None:
    remedy = _REMEDY_SERVE if runtime.kind == "serve" else _REMEDY
    try:
        answer = await http.get("api/bgstream/status", timeout=_CONTACT)
    except httpx.TransportError as error:
        # Without its cause: in a notebook that would be two hundred lines of httpx above the one that helps.
        busy = isinstance(error, httpx.TimeoutException)
        why = "does not answer" if busy else f"cannot be reached ({type(error).__name__})"
        raise ServerUnreachableError(f"The Jupyter server at {runtime.url} {why}: {remedy}", busy=busy) from None
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and (reason := _reason(answer.content)) is not None:
        # Busy: this is the server, and no other one may know its jobs.
        raise ServerUnreachableError(f"The Jupyter server at {runtime.url} cannot run jobs: {reason}", busy=True)
    try:
        status = msgspec.json.decode(answer.content, type=_Status)
    except msgspec.DecodeError:
        status = None
    if answer.status_code != httpx.codes.OK or status is None or status.server != runtime.server:
        raise ServerUnreachableError(f"At {runtime.url} another server answers now: {remedy}")
    if status.protocol != PROTOCOL_VERSION:
        raise VersionMismatchError(
            f"The Jupyter server at {runtime.url} has jupyter_bgstream {status.version} (protocol {status.protocol}), "
            f"this process speaks protocol {PROTOCOL_VERSION}: install one version for both, "
            "then restart JupyterLab and this kernel."
        )
