"""Write the runtime file, by which kernels find this server and open its API."""

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
from ..core.runtime_file import Runtime

log = logging.getLogger(__name__)

ENVIRONMENT = "JUPYTER_BGSTREAM_RUNTIME"  # variable with the path of the file, never a secret

# Loopback addresses of servers that listen on all addresses. Tornado opens "::" for IPv6 only.
LOOPBACK = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def server_url(serverapp: ServerApp) -> str:
    """Return the URL of a server for programs on this machine. Its port must be known."""
    if serverapp.sock:
        return f"http+unix://{urlencode_unix_socket_path(serverapp.sock)}{serverapp.base_url}"
    host = LOOPBACK.get(serverapp.ip, serverapp.ip)
    if ":" in host:
        host = f"[{host}]"
    scheme = "https" if serverapp.certfile else "http"
    return f"{scheme}://{host}:{serverapp.port}{serverapp.base_url}"


def write_runtime_file(runtime: Runtime, folder: Path) -> Path:
    """Write a new runtime file that only this user can read; return its path.

    Raises:
        UnavailableError: The file cannot be written.

    """
    path = folder / f"bgstream-{secrets.token_hex(8)}.json"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(encode(runtime))
                mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        except OSError:  # such as a full disk: a partial file is worse than no file
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UnavailableError(
            f"Kernels cannot find this server: cannot write a file in {folder} ({error.strerror or error})."
            " Make the folder writable, or set JUPYTER_RUNTIME_DIR."
        ) from error
    if sys.platform != "win32" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning(
            "Other users can read %s (mode %o), and its token gives access to the jobs of this server: its file system"
            " does not support permissions. Set JUPYTER_RUNTIME_DIR to a folder on another file system.",
            path,
            mode,
        )
    return path
