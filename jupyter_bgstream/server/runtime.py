"""The runtime file: how a kernel finds this server and opens its API."""

from __future__ import annotations

import logging
import os
import secrets
import stat
import sys
from pathlib import Path

from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import urlencode_unix_socket_path

from ..core.codec import encode
from ..core.errors import UnavailableError
from ..core.runtime import Runtime

log = logging.getLogger(__name__)

ENVIRONMENT = "JUPYTER_BGSTREAM_RUNTIME"  # holds the file's path, never a secret

# The loopback address that reaches a server which listens on all addresses. Tornado opens "::" for IPv6 only.
LOOPBACK = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def server_url(serverapp: ServerApp) -> str:
    """Return the address under which programs of this machine reach a server whose port is known."""
    if serverapp.sock:
        return f"http+unix://{urlencode_unix_socket_path(serverapp.sock)}{serverapp.base_url}"
    host = LOOPBACK.get(serverapp.ip, serverapp.ip)
    if ":" in host:
        host = f"[{host}]"
    scheme = "https" if serverapp.certfile else "http"
    return f"{scheme}://{host}:{serverapp.port}{serverapp.base_url}"


def write_runtime_file(runtime: Runtime, folder: Path) -> Path:
    """Write a new runtime file that only this user can read; return its path. Raises UnavailableError."""
    path = folder / f"bgstream-{secrets.token_hex(8)}.json"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(encode(runtime))
                mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        except OSError:  # such as a full disk: half a file is worse than none
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UnavailableError(
            f"Kernels would not find this server: no file can be written in {folder} ({error.strerror or error})."
            " Make the folder writable, or set JUPYTER_RUNTIME_DIR."
        ) from error
    if sys.platform != "win32" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning(
            "Other users may use %s (mode %o), and with its token this server's jobs: its file system keeps no modes."
            " Set JUPYTER_RUNTIME_DIR to a folder on another one.",
            path,
            mode,
        )
    return path
