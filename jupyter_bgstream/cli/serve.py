"""``jupyter bgstream serve``: server for scripts, plain IPython and editors without JupyterLab."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..core.runtime_file import Runtime

if TYPE_CHECKING:
    from ..server.app import BgStreamApp

FAILED = 1
ALREADY_RUNNING = 3  # exit status; argparse uses 2

_PATIENCE = 10.0  # seconds for another server that is starting
_PAUSE = 0.2  # seconds between two attempts


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``serve`` to the subcommands."""
    serve = commands.add_parser(
        "serve",
        help="run jobs without JupyterLab: for scripts, VS Code and plain IPython",
        description="Run the jobs of scripts, editors and plain IPython without JupyterLab, until Ctrl-C. Listens on"
        " this machine only, serves no pages, files or kernels, and uses the config and the database of your other"
        " Jupyter servers. Programs find it by themselves. The exit status is 3 if it runs already.",
    )
    serve.add_argument("--port", type=_port, help="port to listen on (default: any free port)")
    serve.add_argument("--config", type=Path, help="Jupyter's config file, as for jupyter lab --config")
    serve.set_defaults(run=run_serve)


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError("must be between 1 and 65535")
    return port


def run_serve(options: argparse.Namespace) -> int:
    """Serve until a signal arrives; return 1 if that fails, 3 if another ``serve`` runs."""
    from jupyter_core.paths import jupyter_runtime_dir

    if options.config is not None and not options.config.is_file():
        print(f"There is no config file {options.config}.", file=sys.stderr)
        return FAILED
    lock = _lock(Path(jupyter_runtime_dir()))
    # The lock file of another server may have been deleted, so that its runtime file is checked as well.
    if lock is None or asyncio.run(_find_other()) is not None:
        return _report_other()
    from ..server.standalone import StandaloneServer  # it imports all of Jupyter's server

    app = StandaloneServer.instance(port=options.port, on_ready=_print_ready, on_end=_print_end)
    app.initialize([] if options.config is None else [f"--config={options.config.absolute()}"], find_extensions=False)
    app.start()
    os.close(lock)
    return FAILED if app.failed else 0


def _print_ready(app: BgStreamApp, url: str) -> None:
    place = "until this server stops" if app.store == "temporary" else f"in {app.database_file}"
    print(
        f"Running jobs at {url}, stored {place}. Scripts, VS Code and IPython find this server by themselves. Ctrl-C"
        " stops it.",
        flush=True,
    )


def _print_end(running: int) -> None:
    if running:
        print(
            f"Stopped with {running} running. By its options, each ends as interrupted or continues at the next start.",
            flush=True,
        )


def _lock(folder: Path) -> int | None:
    """Return an open, locked file; None if another ``serve`` of this user holds the lock on this machine."""
    from ..store.sqlite.file_locks import try_lock

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Machines may share a home, and each has its own server.
    path = folder / f"bgstream-serve.{quote(socket.gethostname(), safe='')}.lock"
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        locked = try_lock(file)
    except OSError:
        return file  # the file system has no locks: allow several servers
    if not locked:
        os.close(file)
        return None
    return file


def _report_other() -> int:
    until = time.monotonic() + _PATIENCE
    while (other := asyncio.run(_find_other())) is None and time.monotonic() < until:
        time.sleep(_PAUSE)
    if other is None:
        print("Another `jupyter bgstream serve` of yours does not answer. Stop it first.", file=sys.stderr)
    else:
        print(
            f"Already running at {other.url} (process {other.pid}). Programs find it by themselves.",
            file=sys.stderr,
        )
    return ALREADY_RUNNING


async def _find_other() -> Runtime | None:
    from ..client.connect import open_server, read_runtime, runtime_files
    from ..client.errors import ServerConnectionError, VersionMismatchError

    for path in runtime_files():
        runtime = read_runtime(path)
        if runtime is None or runtime.kind != "serve":
            continue
        try:
            connection = await open_server(path)
        except VersionMismatchError:
            return runtime
        except ServerConnectionError:
            continue
        await connection.http.aclose()
        return runtime
    return None
