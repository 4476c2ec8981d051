"""The server in responses: models, costs, status and errors."""

import msgspec

from ..costs import CostRow
from ..state import ErrorInfo
from .enums import CostKey


class ProviderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A provider and its models."""

    name: str
    kind: str = ""  # its wire format, such as chat_completions
    models: tuple[str, ...] = ()  # provider/name
    error: ErrorInfo | None = None  # why there are no models
    note: str | None = None  # a sentence: why no models are listed although jobs can be submitted
    configured: bool = True


class ModelsInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The models of a server and the providers that are not available."""

    default: str | None = None  # provider/name
    default_why: str | None = None
    aliases: dict[str, str] = {}
    problems: list[str] = []  # errors in the server's config, as sentences
    providers: list[ProviderInfo]


class CostList(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of what jobs cost."""

    by: CostKey = "day"
    costs: list[CostRow]
    today: str = ""  # YYYY-MM-DD in the server's time zone


class LimitsInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a server."""

    max_running: int = 20  # jobs at a time
    reserved_interactive: int = 5  # of them kept free of bulk jobs
    max_running_per_owner: int | None = None  # jobs of one owner at a time, on all servers of this store
    max_queued: int = 100_000  # unfinished jobs of one owner
    max_attempts: int = 5  # of one job
    max_answer_bytes: int = 16 * 1024 * 1024  # of one attempt; an event counts 16 bytes in addition to its text
    max_image_bytes: int = 64 * 1024 * 1024  # of all images of one attempt
    stop_grace: float = 2.0  # seconds that running jobs have to end when the server stops


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a server."""

    version: str  # of jupyter_bgstream
    protocol: int
    server: str  # id of the running server
    store: str
    counts: dict[str, int]  # jobs by status
    limits: LimitsInfo
    default_model: str | None = None  # provider/name
    warnings: list[str] = []  # sentences for users


class KernelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The notebook of a kernel."""

    notebook: str | None = None  # path below the server's root


class ErrorResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a response that reports an error."""

    code: str  # stable
    message: str  # a sentence for users
    field: str | None = None  # the wrong field of a 400
