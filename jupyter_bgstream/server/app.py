"""The Jupyter server extension: settings and wiring only."""

import os
import secrets
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join
from traitlets import Bool, Dict, Enum, Float, Int, TraitError, Unicode, default

from .._version import __version__
from ..core.codec import PROTOCOL_VERSION
from ..core.errors import InvalidRequestError
from ..core.runtime_file import Runtime, ServerKind
from ..core.schemas.server_info import LimitsInfo
from ..engine.engine import STOP_PATIENCE, Engine
from ..engine.retention import Retention
from ..providers.registry import Registry
from ..requirement_check import unmet_requirements
from ..store.ports.store import Store
from ..store.sqlite import SQLiteStore, TemporaryStore
from .base import SETTING, NotFoundHandler
from .culler_activity import report_activity
from .engine_state import Backend
from .identity import is_on_hub
from .lifecycle import BackgroundTasks, Lifecycle, treat_sigint_like_sigterm
from .log_filter import escape_control_characters
from .routes import ROUTES
from .runtime_file import ENVIRONMENT, server_url, write_runtime_file
from .webhook import Webhook, WebhookTarget, read_target

# Seconds. KubeSpawner kills a server one second after its request to stop.
STOP_GRACE = 2.0
HUB_STOP_GRACE = 0.3
HUB_STOP_PATIENCE = 0.2


class StoreKind(Enum[str]):
    """The setting ``store``; names the replacement of a former value."""

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the value if it is allowed; raises TraitError."""
        if value == "memory":
            raise TraitError(
                "There is no store 'memory'. Use 'temporary', a private directory that is removed at the server's stop."
            )
        return super().validate(obj, value)


class BgStreamApp(ExtensionApp):
    """LLM jobs in the background of this server."""

    name = "jupyter_bgstream"
    extension_url = "/lab"
    kind: ServerKind = "jupyter"  # of the server, for the runtime file
    on_started: Callable[[], None] | None = None  # called after the first start has succeeded or failed

    providers = Dict(
        help="""Services by name, beside the built-in ones: {"mine": {"base_url": "https://llm.example.org/v1",
        "api_key_env": "MINE_API_KEY"}}. For a built-in one the fields that differ: {"openai": {"idle_timeout": 300}};
        None removes one. Put keys into the environment, or set `api_key` to a function that returns the key."""
    ).tag(config=True)
    default_model = Unicode(
        help="Model of jobs that name none, as provider/name or an alias. Empty: a model of the first provider with a"
        " key, else of a local server, else of the demo."
    ).tag(config=True)
    model_aliases = Dict(help="""Names for models: {"fast": "openai/gpt-6-luna"}. Jobs store the full name.""").tag(
        config=True
    )
    keyring = Bool(
        False, help="Also read keys from the system's keyring: service jupyter_bgstream, user: the provider's name."
    ).tag(config=True)
    store = StoreKind(
        ["sqlite", "temporary"],
        "sqlite",
        help="Where jobs are kept: in `database`, or in a private temporary directory that is removed at the stop.",
    ).tag(config=True)
    database = Unicode(help="Path of the SQLite database; by default in Jupyter's data directory.").tag(config=True)
    database_journal = Enum(
        ["auto", "wal", "rollback"],
        "auto",
        help="How the database is written: rollback where machines share the file system, each with a file of its own.",
    ).tag(config=True)
    database_host = Unicode(
        help="With a rollback journal, whose file this is; by default the machine's name, on a JupyterHub the user's"
        " and the server's. Must stay the same."
    ).tag(config=True)
    database_full_sync = Bool(
        False, help="Wait for the disk at every commit, so that a power cut takes no word that was shown; slower."
    ).tag(config=True)
    max_running = Int(20, min=1, help="Jobs that run at a time.").tag(config=True)
    max_queued = Int(100_000, min=1, help="Unfinished jobs of one user; further ones are refused.").tag(config=True)

    reserved_interactive = Int(5, min=0, help="Slots of max_running that are kept free of bulk jobs.").tag(config=True)
    max_running_per_owner = Int(
        None, allow_none=True, min=1, help="Jobs of one user that run at a time on all servers of a shared database."
    ).tag(config=True)
    max_attempts = Int(5, min=1, help="Attempts of a job, including those after restarts of the server.").tag(
        config=True
    )
    max_answer_bytes = Int(
        16 * 1024 * 1024,
        min=1024,
        help="Size of one answer, plus 16 for each delta; a job with a longer answer fails and keeps the text so far.",
    ).tag(config=True)
    max_image_bytes = Int(
        64 * 1024 * 1024,
        min=0,
        help="Size of all images of one answer; a larger image is left out; 0: no images are stored.",
    ).tag(config=True)
    stop_grace = Float(
        min=0.0,
        help="Seconds that running jobs have to end when the server stops; by default 2, on a JupyterHub 0.3.",
    ).tag(config=True)

    retention_days = Int(90, min=0, help="Days for which answers are kept after they were read; 0: forever.").tag(
        config=True
    )
    unread_retention_days = Int(
        365,
        min=0,
        help="Days for which unread answers are kept; announced 14 days before; 0: forever.",
    ).tag(config=True)
    max_database_bytes = Int(
        2 * 1024**3,
        min=0,
        help="Bytes of the database above which the oldest read answers are deleted; 0: no limit.",
    ).tag(config=True)

    webhook_url = Unicode(
        help="URL for notices that are unread after 30 s; https, or http on this machine. Empty: off."
    ).tag(config=True)
    webhook_secret_env = Unicode(
        "BGSTREAM_WEBHOOK_SECRET",
        help="Name of the environment variable with the signing secret, as whsec_…; never the secret itself.",
    ).tag(config=True)
    webhook_preview = Bool(False, help="Also send the title and the first words of the answer.").tag(config=True)

    @default("stop_grace")
    def _default_stop_grace(self) -> float:
        return HUB_STOP_GRACE if is_on_hub() else STOP_GRACE

    @property
    def stop_patience(self) -> float:
        """Longest wait in seconds of each step of a stop, apart from the grace of running jobs."""
        return min(STOP_PATIENCE, max(HUB_STOP_PATIENCE, self.stop_grace)) if is_on_hub() else STOP_PATIENCE

    @property
    def retention(self) -> Retention:
        """How long answers are kept."""
        return Retention(**{name: getattr(self, name) for name in Retention.__struct_fields__})

    @property
    def database_path(self) -> Path:
        """The path of the database."""
        return Path(self.database) if self.database else Path(jupyter_data_dir()) / "bgstream" / "jobs.sqlite"

    @property
    def is_started(self) -> bool:
        """Whether the engine is running."""
        return self._backend.engine is not None

    @property
    def database_file(self) -> Path | None:
        """The open file, which differs from ``database_path`` if each host has its own; None before the start."""
        engine = self._backend.engine
        return None if engine is None else engine.store_path

    @property
    def running(self) -> int:
        """Number of jobs that run on this server."""
        engine = self._backend.engine
        return 0 if engine is None else engine.running

    def open_database(self, server: str) -> SQLiteStore:
        """Return the configured store, not yet open."""
        return SQLiteStore(
            self.database_path,
            server=server,
            full=self.database_full_sync,
            journal=None if self.database_journal == "auto" else self.database_journal,  # type: ignore[arg-type]  # an Enum's value
            host=self.database_host or None,
        )

    def open_providers(self) -> Registry:
        """Return the configured providers."""
        return Registry(
            self.providers,
            environ=os.environ,
            default_model=self.default_model or None,
            aliases=self.model_aliases,
            keyring=self.keyring,
        )

    def initialize_settings(self) -> None:
        """Create the state that the routes share, and check the requirements."""
        self._backend = Backend(token=secrets.token_urlsafe(32))
        self.runtime_file: Path | None = None  # None before the start
        self._lifecycle: Lifecycle | None = None
        self.settings[SETTING] = self._backend
        escape_control_characters(self.log)
        for unmet in unmet_requirements():
            self.log.warning("%s", unmet)
        if not hasattr(ExtensionApp, "_start_jupyter_server_extension"):  # jupyter-server 2.15 has no start hook
            assert self.serverapp is not None
            self.serverapp.io_loop.add_callback(self._start_jupyter_server_extension, self.serverapp)

    def initialize_handlers(self) -> None:
        """Register all routes below ``api/bgstream/``."""
        for pattern, handler in ROUTES:
            self.handlers.append((url_path_join("/api/bgstream", pattern) + "/?", handler))
        self.handlers.append((r"/api/bgstream(?:/.*)?", NotFoundHandler))

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Start the engine. Jupyter calls this when its event loop runs and the port is known."""
        treat_sigint_like_sigterm()
        server = secrets.token_hex(8)
        self._lifecycle = Lifecycle(
            self._backend,
            announce=lambda: self._write_runtime_file(serverapp, server),
            make_engine=lambda: self._make_engine(server),
            background_tasks=lambda engine: self._background_tasks(serverapp, engine),
            retries=self.kind == "jupyter",  # a command in a terminal prints its error and ends
            log=self.log,
        )
        await self._lifecycle.start()
        if self.on_started is not None:
            self.on_started()

    async def stop_extension(self) -> None:
        """Interrupt running jobs, close the store and remove the runtime file."""
        if self.runtime_file is not None:
            self.runtime_file.unlink(missing_ok=True)
        if self._lifecycle is not None:
            await self._lifecycle.stop()

    def _write_runtime_file(self, serverapp: Any, server: str) -> None:
        # Before the start, so that kernels and the doctor learn why the engine could not start.
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

    def _make_engine(self, server: str) -> Engine:
        providers = self.open_providers()
        if providers.problems != self._backend.problems:  # each retry of the start calls this
            self._backend.problems = providers.problems
            for problem in providers.problems:
                self.log.error("Error in the config: %s", problem)
        return Engine(
            store=self._open_store(server),
            providers=providers,
            server=server,
            owner=self._backend.owner,
            retention=self.retention,
            stop_patience=self.stop_patience,
            limits=LimitsInfo(**{name: getattr(self, name) for name in LimitsInfo.__struct_fields__}),
        )

    def _open_store(self, server: str) -> Store:
        if self.store == "temporary":
            return TemporaryStore(server=server)
        return self.open_database(server)

    def _background_tasks(self, serverapp: Any, engine: Engine) -> BackgroundTasks:
        times = serverapp.web_app.settings["last_activity_times"]
        tasks: dict[str, Coroutine[Any, Any, None]] = {
            "The report of activity": report_activity(
                engine, self._backend.owner, report=lambda: times.update(bgstream=datetime.now(UTC))
            )
        }
        if (target := self._webhook_target()) is not None:
            tasks["The webhook"] = Webhook(target, engine=engine, owner=self._backend.owner).run()
        return tasks

    def _webhook_target(self) -> WebhookTarget | None:
        if not self.webhook_url:
            return None
        try:
            return read_target(
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
