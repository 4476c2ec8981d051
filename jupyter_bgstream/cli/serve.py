"""``jupyter bgstream serve``: the server for scripts, plain IPython and editors, where no JupyterLab runs."""

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

from ..core.runtime import Runtime

if TYPE_CHECKING:
    from ..server.app import BgStreamApp

FAILED = 1
THERE_IS_ONE = 3  # exit status; 2 is argparse's

_PATIENCE = 10.0  # seconds for another one that may just have been started
_PAUSE = 0.2  # seconds


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``serve`` to the subcommands."""
    serve = commands.add_parser(
        "serve",
        help="run jobs without JupyterLab: for scripts, VS Code and plain IPython",
        description="Run the jobs of scripts, editors and plain IPython while no JupyterLab does, until Ctrl-C. Listens"
        " on this machine only, serves neither pages nor files nor kernels, and uses the config and the database of"
        " your other Jupyter servers. Programs find it by themselves. The exit status is 3 if there is one already.",
    )
    serve.add_argument("--port", type=_port, help="the port to listen at, and no other (default: any that is free)")
    serve.add_argument("--config", type=Path, help="Jupyter's config file, as for jupyter lab --config")
    serve.set_defaults(run=run_serve)


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError("must be between 1 and 65535")
    return port


def run_serve(options: argparse.Namespace) -> int:
    """Serve until a signal comes; returns 1 if that cannot be, 3 if another one serves."""
    from jupyter_core.paths import jupyter_runtime_dir

    if options.config is not None and not options.config.is_file():
        print(f"There is no config file {options.config}.", file=sys.stderr)
        return FAILED
    lock = _lock(Path(jupyter_runtime_dir()))
    # Its file may have been deleted under another one's lock, so that one is looked for as well.
    if lock is None or asyncio.run(_find_other()) is not None:
        return _tell_of_the_other()
    from ..server.standalone import StandaloneServer  # it brings all of Jupyter's server

    app = StandaloneServer.instance(port=options.port, on_ready=_say_ready, on_end=_say_end)
    app.initialize([] if options.config is None else [f"--config={options.config.absolute()}"], find_extensions=False)
    app.start()
    os.close(lock)
    return FAILED if app.failed else 0


def _say_ready(app: BgStreamApp, url: str) -> None:
    kept = "until this server stops" if app.store == "temporary" else f"in {app.database_file}"
    print(
        f"Jobs run here now, at {url}, and are kept {kept}. Scripts, VS Code and IPython find this server by"
        " themselves. Ctrl-C stops it.",
        flush=True,
    )


def _say_end(running: int) -> None:
    if running:
        print(
            f"Stopped with {running} running: each ends as interrupted, or goes on at the next start, as it was told.",
            flush=True,
        )


def _lock(folder: Path) -> int | None:
    """Return an open file that is this user's right to serve on this machine, or None if another process has it."""
    from ..store.sqlite.file_locks import try_lock

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A home may be shared by machines, and each has its own.
    path = folder / f"bgstream-serve.{quote(socket.gethostname(), safe='')}.lock"
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        taken = try_lock(file)
    except OSError:
        return file  # a file system without locks: then nobody is kept away
    if not taken:
        os.close(file)
        return None
    return file


def _tell_of_the_other() -> int:
    until = time.monotonic() + _PATIENCE
    while (other := asyncio.run(_find_other())) is None and time.monotonic() < until:
        time.sleep(_PAUSE)
    if other is None:
        print("Another `jupyter bgstream serve` of yours runs, but it does not answer: stop it first.", file=sys.stderr)
    else:
        print(
            f"There is one already, at {other.url} (process {other.pid}): programs find it by themselves.",
            file=sys.stderr,
        )
    return THERE_IS_ONE


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
