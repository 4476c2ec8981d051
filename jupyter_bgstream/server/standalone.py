"""A Jupyter server of this extension alone: no pages, files, kernels or terminals, for programs of this machine."""

from __future__ import annotations

import logging
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from jupyter_server.auth import AllowAllAuthorizer, IdentityProvider
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.manager import AsyncContentsManager
from traitlets.config import Config

from .app import BgStreamApp
from .runtime import server_url

HOST = "127.0.0.1"
OTHER_PORTS = 50  # that are tried if somebody takes the free one just before us

_ENDS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # those that this system has


class NoContents(AsyncContentsManager):
    """Stands where Jupyter wants a manager of files, and has none."""

    def get_extra_handlers(self) -> list[Any]:
        """Return no routes: those of others would hand out files."""
        return []

    def info_string(self) -> str:
        """Say what there is."""
        return "No files are served."


class StandaloneServer(ServerApp):
    """Reads the config of the user's other servers, and takes from it what is ours and how to log."""

    name = "jupyter-server"  # the config file's
    default_services = ()  # type: ignore[assignment]  # said by the length of its own

    def __init__(
        self,
        *,
        port: int | None = None,
        on_ready: Callable[[BgStreamApp, str], None],
        on_end: Callable[[int], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(log_level=logging.WARNING, **kwargs)
        self._wanted_port = port
        self._on_ready = on_ready  # with the address
        self._on_end = on_end  # with how many jobs run
        self.failed = False  # whether the extension could not start; the log says why

    def init_server_extensions(self) -> None:
        """Load our extension alone, and let no config file open this server to anybody."""
        self.jpserver_extensions = {"jupyter_bgstream": True}
        super().init_server_extensions()
        # Only now: the extension's own config files may hold settings of the server.
        insist = {
            "ServerApp": self._alone(),
            "IdentityProvider": {"token": secrets.token_hex(32)},
            "GatewayClient": {"url": ""},
        }
        self.update_config(Config(insist))
        self._extension.kind = "serve"
        self._extension.log_level = logging.WARNING  # what it has to say is said by us
        self._extension.on_started = self._tell_started

    def _alone(self) -> dict[str, Any]:
        return {
            "ip": HOST,
            "port": self._wanted_port if self._wanted_port is not None else _free_port(),
            "port_retries": 0 if self._wanted_port is not None else OTHER_PORTS,
            "sock": "",
            "certfile": "",
            "keyfile": "",
            "client_ca": "",
            "base_url": "/",
            "custom_display_url": "",
            "open_browser": False,
            "allow_root": True,  # nothing runs here that a request could name
            "terminals_enabled": False,
            "extra_services": [],
            "identity_provider_class": IdentityProvider,
            "authorizer_class": AllowAllAuthorizer,
            "contents_manager_class": NoContents,
            "shutdown_no_activity_timeout": 0,
        }

    def write_server_info_file(self) -> None:
        """Write none: whoever looks for Jupyter servers by it wants kernels or files."""

    def write_browser_open_files(self) -> None:
        """Write none: there is nothing to see."""

    def init_signal(self) -> None:
        """End at once and without a question; at the second signal even without a goodbye."""
        for name in _ENDS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
                signal.signal(number, self._end)

    def _end(self, number: int, _: object) -> None:
        for name in _ENDS:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_DFL)
        self._on_end(self._extension.running)
        self.stop(from_signal=True)

    @property
    def _extension(self) -> BgStreamApp:
        extension = self.extension_manager.extension_points["jupyter_bgstream"].app
        assert isinstance(extension, BgStreamApp)
        return extension

    def _tell_started(self) -> None:
        if not self._extension.is_started:
            self.failed = True
            self.stop()
        else:
            self._on_ready(self._extension, server_url(self))


def _free_port() -> int:
    with socket.socket() as probe:
        if sys.platform != "win32":  # or a port of a moment ago could not be had
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
