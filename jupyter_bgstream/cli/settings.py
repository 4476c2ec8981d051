"""Read Jupyter's config as the server does, without starting or changing anything."""

import logging
from pathlib import Path
from typing import Any

import msgspec
from jupyter_server.serverapp import ServerApp
from traitlets import TraitError
from traitlets.config import Config

from ..server.app import BgStreamApp
from ..store.sqlite.database_file import file_of_host


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Config of the server, and its errors."""

    app: BgStreamApp  # with its settings; never started
    files: tuple[str, ...]  # config files that were read
    broken: tuple[tuple[str, str], ...]  # files that could not be read, and the errors
    unknown: tuple[str, ...]  # unknown settings of this extension
    invalid: str | None  # error of an invalid setting
    enabled: bool | None  # whether the server loads this extension; None: not configured


class _ErrorCollector(logging.Handler):
    """Collects the errors of config files; the server ignores such files as well."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.broken: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None and record.args:
            error, (file, *_) = record.exc_info[1], tuple(record.args)
            self.broken.append((str(file), f"{type(error).__name__}: {error}"))


def load_settings(config_file: Path | None = None) -> Settings:
    """Read Jupyter's config files; ``config_file`` replaces ``jupyter_server_config``."""
    errors, log = _ErrorCollector(), logging.Logger("jupyter bgstream")  # a separate logger, so that nothing is printed
    log.addHandler(errors)
    server = ServerApp(log=log)
    if config_file is not None:
        server.config_file = str(config_file.absolute())
    _read(server, errors)
    app = BgStreamApp(log=log)
    app.serverapp = server
    _read(app, errors)
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
        broken=tuple(dict.fromkeys(errors.broken)),
        unknown=tuple(sorted(given.keys() - known.keys())),
        invalid=invalid,
        enabled=_enabled(server),
    )


def has_database(app: BgStreamApp) -> bool:
    """Return True if the configured database exists."""
    path = app.database_path
    return path.exists() or file_of_host(path, app.database_host or None).exists()


def _read(application: Any, errors: _ErrorCollector) -> None:
    try:
        application.load_config_file()
    except (Exception, SystemExit) as error:  # traitlets exits for an invalid value
        errors.broken.append((application.config_file or application.config_file_name, f"{error}"))


def _enabled(server: ServerApp) -> bool | None:
    server.find_server_extensions()
    enabled = server.jpserver_extensions.get("jupyter_bgstream")
    return None if enabled is None else bool(enabled)
