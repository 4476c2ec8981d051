"""Jupyter's config, read as the server would read it, without starting or changing anything."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
from jupyter_server.serverapp import ServerApp
from traitlets import TraitError
from traitlets.config import Config

from ..server.app import BgStreamApp
from ..store.sqlite.files import file_of_host


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the config says, and what is wrong with it."""

    app: BgStreamApp  # with its settings, never started
    files: tuple[str, ...]  # that were read
    broken: tuple[tuple[str, str], ...]  # files that could not be read, and why
    unknown: tuple[str, ...]  # names that are no settings of ours
    invalid: str | None  # what a setting must not be
    enabled: bool | None  # whether the server loads this extension; None: nothing says so


class _Heard(logging.Handler):
    """Keeps what went wrong while config files were read; the server, too, goes on without them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.broken: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None and record.args:
            error, (file, *_) = record.exc_info[1], tuple(record.args)
            self.broken.append((str(file), f"{type(error).__name__}: {error}"))


def load_settings(config_file: Path | None = None) -> Settings:
    """Read Jupyter's config files; ``config_file`` takes the place of ``jupyter_server_config``."""
    heard, log = _Heard(), logging.Logger("jupyter bgstream")  # of our own: nothing is printed
    log.addHandler(heard)
    server = ServerApp(log=log)
    if config_file is not None:
        server.config_file = str(config_file.absolute())
    _read(server, heard)
    app = BgStreamApp(log=log)
    app.serverapp = server
    _read(app, heard)
    files = list(dict.fromkeys([*server.loaded_config_files, *app.loaded_config_files]))
    given: Config = Config(app.config.get("BgStreamApp", {}))
    given.merge(server.config.get("BgStreamApp", {}))
    known = BgStreamApp.class_traits(config=True)
    invalid = None
    for name in given.keys() & known.keys():
        try:
            app.update_config(Config({"BgStreamApp": {name: given[name]}}))
        except TraitError as error:
            invalid = f"BgStreamApp.{name}: {error}"
    return Settings(
        app=app,
        files=tuple(files),
        broken=tuple(dict.fromkeys(heard.broken)),
        unknown=tuple(sorted(given.keys() - known.keys())),
        invalid=invalid,
        enabled=_enabled(server),
    )


def has_database(app: BgStreamApp) -> bool:
    """Whether the database that the settings mean is there."""
    path = app.database_path
    return path.exists() or file_of_host(path, app.host or None).exists()


def _read(application: Any, heard: _Heard) -> None:
    try:
        application.load_config_file()
    except (Exception, SystemExit) as error:  # traitlets ends the process for a value it does not take
        heard.broken.append((application.config_file or application.config_file_name, f"{error}"))


def _enabled(server: ServerApp) -> bool | None:
    server.find_server_extensions()
    enabled = server.jpserver_extensions.get("jupyter_bgstream")
    return None if enabled is None else bool(enabled)
