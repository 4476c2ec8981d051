"""The runtime file: how a kernel finds this server and opens its API."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ..core.wire import Runtime, encode

ENVIRONMENT = "JUPYTER_BGSTREAM_RUNTIME"  # holds the file's path, never a secret


def write_runtime_file(runtime: Runtime, folder: Path) -> Path:
    """Write a new runtime file that only this user can read; returns its path."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"bgstream-{secrets.token_hex(8)}.json"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(encode(runtime))
    return path
