"""The Jupyter server extension: settings and wiring, nothing else."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join
from traitlets import Bool, Dict, Enum, Float, Int, Unicode, default

from .._version import __version__
from ..core.codec import PROTOCOL_VERSION
from ..core.errors import InvalidRequestError
from ..core.runtime import Runtime, ServerKind
from ..engine.retention import Retention
from ..engine.service import STOP_PATIENCE, Limits, Service
from ..providers.registry import Registry
from ..requirements import unmet_requirements
from ..store.base import Store
from ..store.memory import MemoryStore
from ..store.sqlite import SQLiteStore
from .activity import report_activity
from .base import SETTING, Backend, NotFoundHandler
from .identity import is_on_hub
from .lifecycle import Beside, Lifecycle, treat_sigint_like_sigterm
from .log_filter import write_controls_out
from .routes import ROUTES
from .runtime import ENVIRONMENT, server_url, write_runtime_file
from .webhook import Webhook, WebhookTarget, read_receiver

# Seconds. KubeSpawner kills a server one second after it has asked it to stop.
STOP_GRACE = 2.0
HUB_STOP_GRACE = 0.3
HUB_STOP_PATIENCE = 0.2


class BgStreamApp(ExtensionApp):
    """LLM jobs in the background of this server."""

    name = "jupyter_bgstream"
    extension_url = "/lab"
    kind: ServerKind = "jupyter"  # of the server that it is in, for those who look for one
    on_started: Callable[[], None] | None = None  # called once the start has succeeded or failed

    providers = Dict(
        help="""Services by name, beside the built-in ones: {"mine": {"base_url": "https://llm.example.org/v1",
        "api_key_env": "MINE_API_KEY"}}. For a built-in one the fields that differ: {"openai": {"idle_timeout": 300}};
        None takes one away. A key belongs into the environment, or `api_key` is a function that returns it."""
    ).tag(config=True)
    default_model = Unicode(
        help="The model of a job that names none, as provider/name or an alias; if empty, of the first provider with a"
        " key, else a local server's, else the demo's."
    ).tag(config=True)
    aliases = Dict(help="""Names for models: {"fast": "openai/gpt-6-luna"}. A job keeps the full name.""").tag(
        config=True
    )
    keyring = Bool(
        False, help="Look for keys in the system's keyring too: service jupyter_bgstream, user: the provider's name."
    ).tag(config=True)
    store = Enum(["sqlite", "memory"], "sqlite", help="Where jobs are kept. memory forgets them at the stop.").tag(
        config=True
    )
    database = Unicode(help="Path of the SQLite database; by default in Jupyter's data directory.").tag(config=True)
    journal = Enum(
        ["auto", "wal", "rollback"],
        "auto",
        help="How the database is written: rollback where machines share the file system, each with a file of its own.",
    ).tag(config=True)
    host = Unicode(
        help="With a rollback journal, whose file this is; by default the machine's name, on a JupyterHub the user's"
        " and the server's. Must stay the same."
    ).tag(config=True)
    full_sync = Bool(
        False, help="Wait for the disk at every commit, so that a power cut takes no word that was shown; slower."
    ).tag(config=True)
    max_running = Int(20, min=1, help="Jobs that run at a time.").tag(config=True)
    max_queued = Int(100_000, min=1, help="Unfinished jobs that a user may have; one more is refused.").tag(config=True)

    reserved = Int(5, min=0, help="Of max_running, how many are kept free of batch jobs, for people who wait.").tag(
        config=True
    )
    max_running_per_owner = Int(
        None, allow_none=True, min=1, help="Jobs of one user that run at a time on all servers that share the database."
    ).tag(config=True)
    max_attempts = Int(5, min=1, help="How often a job is tried at its provider, restarts of the server included.").tag(
        config=True
    )
    max_answer_bytes = Int(
        16 * 1024 * 1024,
        min=1024,
        help="Of one answer, each piece of it counted as 16 more; a longer one fails with what came so far.",
    ).tag(config=True)
    max_image_bytes = Int(
        64 * 1024 * 1024,
        min=0,
        help="Of the pictures of one answer together; one that is too large is left out; 0: none is kept.",
    ).tag(config=True)
    stop_grace = Float(
        min=0.0,
        help="Seconds that running jobs have to end when the server stops; by default 2, and 0.3 on a JupyterHub.",
    ).tag(config=True)

    keep_days = Int(
        90, min=0, help="Days for which answers are kept after they have ended and were read; 0: for ever."
    ).tag(config=True)
    unread_days = Int(
        365,
        min=0,
        help="Days for which an answer is kept that nobody has read, announced from 14 days before; 0: for ever.",
    ).tag(config=True)
    max_megabytes = Int(
        2048,
        min=0,
        help="Size of the database beyond which the oldest answers that were read are deleted; 0: no limit.",
    ).tag(config=True)

    webhook_url = Unicode(
        help="Where to tell of what ended and nobody looked at for 30 s; https, or http on this machine. Empty: off."
    ).tag(config=True)
    webhook_secret_env = Unicode(
        "BGSTREAM_WEBHOOK_SECRET",
        help="Name of the environment variable that holds the secret that signs, as whsec_…; never the secret.",
    ).tag(config=True)
    webhook_preview = Bool(
        False, help="Whether the webhook also sends the title and the first words of the answer."
    ).tag(config=True)

    @default("stop_grace")
    def _default_stop_grace(self) -> float:
        return HUB_STOP_GRACE if is_on_hub() else STOP_GRACE

    @property
    def stop_patience(self) -> float:
        """Seconds that each step of a stop but the jobs' own may wait."""
        return min(STOP_PATIENCE, max(HUB_STOP_PATIENCE, self.stop_grace)) if is_on_hub() else STOP_PATIENCE

    @property
    def retention(self) -> Retention:
        """How long answers are kept."""
        return Retention(
            keep_days=self.keep_days, unread_days=self.unread_days, max_bytes=self.max_megabytes * 1024 * 1024
        )

    @property
    def database_path(self) -> Path:
        """Where the database is."""
        return Path(self.database) if self.database else Path(jupyter_data_dir()) / "bgstream" / "jobs.sqlite"

    @property
    def is_started(self) -> bool:
        """Whether the engine is up."""
        return self._backend.service is not None

    @property
    def database_file(self) -> Path | None:
        """The file that is open now, which is not ``database_path`` where each host has one; None: there is none."""
        service = self._backend.service
        return None if service is None else service.store_path

    @property
    def running(self) -> int:
        """How many jobs run here now."""
        service = self._backend.service
        return 0 if service is None else service.running

    def open_database(self, server: str) -> SQLiteStore:
        """Return the store that the settings mean, not yet open."""
        return SQLiteStore(
            self.database_path,
            server=server,
            full=self.full_sync,
            journal=None if self.journal == "auto" else self.journal,  # type: ignore[arg-type]  # an Enum's value
            host=self.host or None,
        )

    def open_providers(self) -> Registry:
        """Return the providers that the settings mean."""
        return Registry(
            self.providers,
            environ=os.environ,
            default_model=self.default_model or None,
            aliases=self.aliases,
            keyring=self.keyring,
        )

    def flatten_flags(self) -> Any:
        """Return the flags and aliases of the command line; ``aliases`` names models here, and is none of them."""
        models = self.aliases
        self.aliases = {}
        try:
            return super().flatten_flags()
        finally:
            self.aliases = models

    def initialize_settings(self) -> None:
        """Give the routes what they need."""
        self._backend = Backend(token=secrets.token_urlsafe(32))
        self.runtime_file: Path | None = None  # as long as there is something to find
        self._lifecycle: Lifecycle | None = None
        self.settings[SETTING] = self._backend
        write_controls_out(self.log)
        for unmet in unmet_requirements():
            self.log.warning("%s", unmet)
        if not hasattr(ExtensionApp, "_start_jupyter_server_extension"):  # jupyter-server 2.15 has no start hook
            assert self.serverapp is not None
            self.serverapp.io_loop.add_callback(self._start_jupyter_server_extension, self.serverapp)

    def initialize_handlers(self) -> None:
        """Hang all routes under api/bgstream/."""
        for pattern, handler in ROUTES:
            self.handlers.append((url_path_join("/api/bgstream", pattern) + "/?", handler))
        self.handlers.append((r"/api/bgstream(?:/.*)?", NotFoundHandler))

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Start the engine. Jupyter calls this when its loop runs and the port is known."""
        treat_sigint_like_sigterm()
        server = secrets.token_hex(8)
        self._lifecycle = Lifecycle(
            self._backend,
            announce=lambda: self._announce(serverapp, server),
            make_service=lambda: self._make_service(server),
            run_beside=lambda service: self._run_beside(serverapp, service),
            repeats=self.kind == "jupyter",  # a command in a terminal gives its reason and ends
            log=self.log,
        )
        await self._lifecycle.start()
        if self.on_started is not None:
            self.on_started()

    async def stop_extension(self) -> None:
        """Interrupt what runs, close the store and take the runtime file away."""
        if self.runtime_file is not None:
            self.runtime_file.unlink(missing_ok=True)
        if self._lifecycle is not None:
            await self._lifecycle.stop()

    def _announce(self, serverapp: Any, server: str) -> None:
        # First of all, so that kernels and the doctor are told why the engine could not start.
        if self.runtime_file is not None:
            return
        runtime = Runtime(
            url=server_url(serverapp),
            token=self._backend.token,
            version=__version__,
            protocol=PROTOCOL_VERSION,
            server=server,
            pid=os.getpid(),
            kind=self.kind,
        )
        self.runtime_file = write_runtime_file(runtime, Path(serverapp.runtime_dir))
        os.environ[ENVIRONMENT] = str(self.runtime_file)

    def _make_service(self, server: str) -> Service:
        providers = self.open_providers()
        if providers.problems != self._backend.problems:  # else a start that is repeated would log them each time
            self._backend.problems = providers.problems
            for problem in providers.problems:
                self.log.error("The config is wrong: %s", problem)
        return Service(
            store=self._open_store(server),
            providers=providers,
            server=server,
            owner=self._backend.owner,
            retention=self.retention,
            stop_patience=self.stop_patience,
            limits=Limits(**{name: getattr(self, name) for name in Limits.__struct_fields__}),
        )

    def _open_store(self, server: str) -> Store:
        if self.store == "memory":
            return MemoryStore(server=server)
        return self.open_database(server)

    def _run_beside(self, serverapp: Any, service: Service) -> Beside:
        times = serverapp.web_app.settings["last_activity_times"]
        beside: dict[str, Coroutine[Any, Any, None]] = {
            "The report of activity": report_activity(
                service, self._backend.owner, report=lambda: times.update(bgstream=datetime.now(UTC))
            )
        }
        if (receiver := self._receiver()) is not None:
            beside["The webhook"] = Webhook(receiver, service=service, owner=self._backend.owner).run()
        return beside

    def _receiver(self) -> WebhookTarget | None:
        if not self.webhook_url:
            return None
        try:
            return read_receiver(
                self.webhook_url,
                secret_env=self.webhook_secret_env,
                preview=self.webhook_preview,
                environ=os.environ,
            )
        except InvalidRequestError as error:
            warning = f"The webhook is off. {error.message}"
            self._backend.warnings.append(warning)
            self.log.critical("%s", warning)
            return None
