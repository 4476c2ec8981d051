"""Find the Jupyter server of this process and connect to it. See PROTOCOL.md, "The runtime file of kernels"."""

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
from ..core.runtime_file import Runtime
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
_REMEDY = "Start JupyterLab again, and restart this kernel if that does not help."
_REMEDY_SERVE = "Start `jupyter bgstream serve` again."
_SERVE = "Start `jupyter bgstream serve` in a terminal"


class _Status(msgspec.Struct, frozen=True):
    """Fields of ``GET status`` that identify the server and its protocol."""

    server: str
    protocol: int
    version: str


class _Refusal(msgspec.Struct, frozen=True):
    """Fields of a refusal that say why the server cannot run jobs."""

    code: Literal["unavailable"]
    message: str


@dataclass(frozen=True)
class Connection:
    """Open connection to one server."""

    runtime: Runtime
    http: httpx.AsyncClient


async def connect() -> Connection:
    """Connect to the server that started this process, or else to the only server that answers.

    If several servers answer, connect to the only ``jupyter bgstream serve``.

    Raises:
        ServerNotFoundError: no server answers.
        MultipleServersError: several servers answer.
        ServerUnreachableError: the server of this process does not answer.
        VersionMismatchError: the server uses another version of the protocol.

    """
    every = runtime_files()
    own = _own(every)
    problems: list[ServerConnectionError] = []
    for path in own:
        try:
            return await open_server(path)
        except ServerUnreachableError as problem:
            if problem.busy:
                raise  # another server may not have the jobs of this one
            problems.append(problem)
    # A restarted server has a new file, port and token; a kernel that outlived the old server finds it here.
    alive: dict[Path, Connection] = {}
    for path in every:
        if path not in own:
            try:
                alive[path] = await open_server(path)
            except ServerConnectionError as problem:
                problems.append(problem)
    chosen = _choose(list(alive.values()))
    for connection in alive.values():
        if connection is not chosen:
            await connection.http.aclose()
    if chosen is None:
        raise _connection_error(alive, problems, has_own=bool(own))
    return chosen


def has_own_server() -> bool:
    """Return True if the runtime file of a Jupyter server that started this process exists."""
    return _has_jupyter(_own(runtime_files()))


def is_server_kernel() -> bool:
    """Return True if a Jupyter server with this extension is the parent process of this kernel."""
    return _has_jupyter(_of_parent(runtime_files()))


def _has_jupyter(paths: Sequence[Path]) -> bool:
    return any((runtime := read_runtime(path)) and runtime.kind == "jupyter" for path in paths)


def runtime_files() -> list[Path]:
    """Return the runtime files of all servers of this user, including dead ones."""
    return sorted(Path(jupyter_runtime_dir()).glob("bgstream-*.json"))


def _own(every: Sequence[Path]) -> list[Path]:
    # The server sets the variable in its kernels; otherwise the server is the parent process.
    path = os.environ.get(RUNTIME_VARIABLE)
    own = [Path(path)] if path else []
    return own + [each for each in _of_parent(every) if each not in own]


def _of_parent(every: Sequence[Path]) -> list[Path]:
    parent = os.environ.get("JPY_PARENT_PID")
    if parent is None or sys.platform == "win32":  # there the variable holds a handle, not a pid
        return []
    return [path for path in every if (found := read_runtime(path)) and str(found.pid) == parent]


def _choose(alive: Sequence[Connection]) -> Connection | None:
    if len(alive) == 1:
        return alive[0]
    serving = [connection for connection in alive if connection.runtime.kind == "serve"]
    return serving[0] if len(serving) == 1 else None


def _connection_error(
    alive: dict[Path, Connection], problems: Sequence[ServerConnectionError], *, has_own: bool
) -> ServerConnectionError:
    if alive:
        names = ", ".join(f"{connection.runtime.url} ({path})" for path, connection in alive.items())
        return MultipleServersError(
            f"Several Jupyter servers answer. {_SERVE}, which then takes precedence, "
            f"or set {RUNTIME_VARIABLE} to one of these files: {names}."
        )
    for problem in problems:
        if isinstance(problem, VersionMismatchError):
            return problem
    for problem in problems:
        if has_own or (isinstance(problem, ServerUnreachableError) and problem.busy):
            return problem
    # Files of killed servers that this process never used need no message.
    return ServerNotFoundError(
        f"No Jupyter server with jupyter_bgstream is running. {_SERVE}, or JupyterLab with jupyter_bgstream "
        f"installed, or set {RUNTIME_VARIABLE} to the path of a running server's bgstream-….json."
    )


def is_foreign(path: Path) -> bool:
    """Return True if another user wrote this runtime file; prompts would go to that user's server."""
    return _is_foreign(path.stat(), path)


def _is_foreign(status: os.stat_result, path: Path) -> bool:
    # Some network file systems report one owner for all files, then for the folder too.
    return sys.platform != "win32" and status.st_uid not in (os.geteuid(), 0, path.parent.stat().st_uid)


def read_runtime(path: Path) -> Runtime | None:
    """Read a runtime file; return None if it is missing, malformed or another user's."""
    try:
        with path.open("rb") as file:  # the same file for both, even if it is replaced meanwhile
            if _is_foreign(os.fstat(file.fileno()), path):
                return None
            return msgspec.json.decode(file.read(), type=Runtime)
    except (OSError, msgspec.DecodeError):
        return None


def _is_valid_url(url: str) -> bool:
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return False
    return parts.scheme in ("http", "https") and bool(parts.host) and (parts.port or 80) < 65536


async def open_server(path: Path) -> Connection:
    """Connect to the server of a runtime file; raises ServerUnreachableError or VersionMismatchError."""
    runtime = read_runtime(path)
    if runtime is None:
        raise ServerUnreachableError(f"The Jupyter server of the runtime file {path} has stopped. {_REMEDY}")
    if not _is_valid_url(runtime.url):
        raise ServerUnreachableError(f"The runtime file {path} is damaged. Delete it, or restart its Jupyter server.")
    http = httpx.AsyncClient(
        base_url=runtime.url,
        headers={"Authorization": f"token {runtime.token}"},
        timeout=_ANSWER,
        trust_env=False,  # otherwise HTTP_PROXY would apply to localhost
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
    # A self-made certificate names the host, never the loopback address, where it proves no more than the token.
    # Without https there is no certificate, and loading the authorities takes 20 ms.
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
    except msgspec.DecodeError:  # not from this extension, for example from a proxy
        return None


async def _check(runtime: Runtime, http: httpx.AsyncClient) -> None:
    remedy = _REMEDY_SERVE if runtime.kind == "serve" else _REMEDY
    try:
        answer = await http.get("api/bgstream/status", timeout=_CONTACT)
    except httpx.TransportError as error:
        # Without the cause: a notebook would show two hundred lines of httpx above the message.
        busy = isinstance(error, httpx.TimeoutException)
        reason = "does not answer" if busy else f"cannot be reached ({type(error).__name__})"
        raise ServerUnreachableError(f"The Jupyter server at {runtime.url} {reason}. {remedy}", busy=busy) from None
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and (refusal := _reason(answer.content)) is not None:
        # Busy: this is the server, and another one may not have its jobs.
        raise ServerUnreachableError(f"The Jupyter server at {runtime.url} cannot run jobs: {refusal}", busy=True)
    try:
        status = msgspec.json.decode(answer.content, type=_Status)
    except msgspec.DecodeError:
        status = None
    if answer.status_code != httpx.codes.OK or status is None or status.server != runtime.server:
        raise ServerUnreachableError(f"Another server answers at {runtime.url} now. {remedy}")
    if (status.protocol, runtime.protocol) != (PROTOCOL_VERSION, PROTOCOL_VERSION):
        raise VersionMismatchError(
            f"The Jupyter server at {runtime.url} has jupyter_bgstream {status.version} (protocol {status.protocol}), "
            f"this process has protocol {PROTOCOL_VERSION}. Restart the kernel. If that does not help, install the "
            "same version for both and restart JupyterLab."
        )
