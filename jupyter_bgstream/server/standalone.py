"""A Jupyter server with this extension alone: no pages, files, kernels or terminals, for programs on this machine."""

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
from .runtime_file import server_url

HOST = "127.0.0.1"
OTHER_PORTS = 50  # further ports to try if another program takes the free one first

_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # of them those that this system has


class NoContents(AsyncContentsManager):
    """A contents manager without files, since Jupyter requires one."""

    def get_extra_handlers(self) -> list[Any]:
        """Return no routes: the inherited ones would serve files."""
        return []

    def info_string(self) -> str:
        """Return the line that Jupyter logs at the start."""
        return "No files are served."


class StandaloneServer(ServerApp):
    """Minimal ServerApp: reads the user's Jupyter config, and keeps only BgStreamApp and logging settings."""

    name = "jupyter-server"  # of the config file
    default_services = ()  # type: ignore[assignment]  # its type has a fixed length

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
        self._on_ready = on_ready  # receives the URL
        self._on_end = on_end  # receives the number of running jobs
        self.failed = False  # whether the extension could not start; the log has the reason

    def init_server_extensions(self) -> None:
        """Load our extension alone, and override config that would open this server to others."""
        self.jpserver_extensions = {"jupyter_bgstream": True}
        super().init_server_extensions()
        # After the extension is loaded: its config files may contain settings of the server.
        overrides = {
            "ServerApp": self._server_settings(),
            "IdentityProvider": {"token": secrets.token_hex(32)},
            "GatewayClient": {"url": ""},
        }
        self.update_config(Config(overrides))
        self._extension.kind = "serve"
        self._extension.log_level = logging.WARNING  # the command prints its own messages
        self._extension.on_started = self._report_start

    def _server_settings(self) -> dict[str, Any]:
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
            "allow_root": True,  # requests cannot run programs here
            "terminals_enabled": False,
            "extra_services": [],
            "identity_provider_class": IdentityProvider,
            "authorizer_class": AllowAllAuthorizer,
            "contents_manager_class": NoContents,
            "shutdown_no_activity_timeout": 0,
        }

    def write_server_info_file(self) -> None:
        """Write no file: programs that look for Jupyter servers expect kernels or files."""

    def write_browser_open_files(self) -> None:
        """Write no file: there are no pages."""

    def init_signal(self) -> None:
        """Stop at the first signal without confirmation; a second one ends the process at once."""
        for name in _STOP_SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
                signal.signal(number, self._end)

    def _end(self, number: int, _: object) -> None:
        for name in _STOP_SIGNALS:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_DFL)
        self._on_end(self._extension.running)
        self.stop(from_signal=True)

    @property
    def _extension(self) -> BgStreamApp:
        extension = self.extension_manager.extension_points["jupyter_bgstream"].app
        assert isinstance(extension, BgStreamApp)
        return extension

    def _report_start(self) -> None:
        if not self._extension.is_started:
            self.failed = True
            self.stop()
        else:
            self._on_ready(self._extension, server_url(self))


def _free_port() -> int:
    with socket.socket() as probe:
        if sys.platform != "win32":  # so that a port that was just released can be bound
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
