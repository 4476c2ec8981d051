"""Check the running servers of this user."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
from jupyter_core.paths import jupyter_runtime_dir

from ..._version import __version__
from ...client.connect import is_foreign
from ...core.runtime_file import Runtime
from ..settings import Settings
from .findings import Finding, ok, problem, warning

SECONDS = 2.0


def check(_: Settings) -> Iterator[Finding]:
    """Ask every server with a runtime file."""
    folder = Path(jupyter_runtime_dir())
    if (unwritable := _folder_problem(folder)) is not None:
        yield unwritable
    files = sorted(folder.glob("bgstream-*.json"))
    if not files:
        yield ok(
            f"No server runs; there is no runtime file in {folder}.",
            "For scripts without JupyterLab: jupyter bgstream serve",
        )
    for file in files:
        yield from _one(file)


def _folder_problem(folder: Path) -> Finding | None:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return None
    return problem(
        f"{folder} is not writable. The extension does not start, because no kernel would find it.",
        f"Make {existing} writable, or set JUPYTER_RUNTIME_DIR.",
    )


def _one(file: Path) -> Iterator[Finding]:
    try:
        if is_foreign(file):
            yield warning(
                f"{file} was written by another user, and is ignored.",
                f"Remove it, and remove the write access of others to {file.parent}.",
            )
            return
        mode = stat.S_IMODE(file.stat().st_mode)
        if sys.platform != "win32" and mode & 0o077:
            yield warning(
                f"Other users have access to {file} (mode {mode:o}), and with its token to that server.",
                f"chmod 600 '{file}', and restart that server for a new token.",
            )
        runtime = msgspec.json.decode(file.read_bytes(), type=Runtime)
    except (OSError, msgspec.DecodeError) as error:
        yield warning(f"Cannot read {file}: {error}", "Remove it.")
        return
    name = "jupyter bgstream serve" if runtime.kind == "serve" else "The server"
    server = f"{name} at {runtime.url} (process {runtime.pid})"
    try:
        # A server on this machine, whose certificate may be self-made.
        with httpx.Client(trust_env=False, timeout=SECONDS, verify=False) as client:  # noqa: S501
            answer = client.get(
                f"{runtime.url}api/bgstream/status", headers={"Authorization": f"token {runtime.token}"}
            )
        status = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        yield warning(
            f"{server} does not answer ({type(error).__name__}).",
            f"If it was killed, {file} may be removed; it is harmless.",
        )
        return
    if not answer.is_success:
        yield problem(f"{server} reports: {status.get('message', answer.status_code)}", "See its log.")
        return
    if status["version"] != __version__:
        yield warning(
            f"{server} runs jupyter_bgstream {status['version']}, but {__version__} is installed.", "Restart it."
        )
    else:
        yield ok(f"{server} answers, and stores jobs in {status['store']}.")
    for sentence in status.get("warnings", ()):
        yield warning(f"{server} warns: {sentence}")
