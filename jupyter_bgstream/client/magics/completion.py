"""Tab completion in lines of ``%%bg`` and ``%bg``, and in braces of a prompt."""

from __future__ import annotations

import concurrent.futures
import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

from ...core.schemas.jobs import JobInfo
from ...core.schemas.server_info import ModelsInfo
from ..costs import KEYS
from ..default_connection import default_background
from ..job_handle import Job
from ..job_list import Comparison, Jobs
from ..job_table import short
from .bg_line import STATES
from .options import CHOICES, OPTIONS, PARAMS
from .resolve import UNFINISHED
from .threads import ACTIONS

if TYPE_CHECKING:
    from ..rest_client import Api

PATIENCE = 1.0  # seconds that Tab waits for the server
_FRESH = 10.0  # seconds for which a response is reused
_JOBS = 50  # newest jobs offered
_PATHS = 500  # files offered

_CELL = re.compile(r"\s*%%bg\s")
_LINE = re.compile(r"\s*%bg\s+")
_EXPRESSION = re.compile(r"\{([A-Za-z_][\w.]*)$")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_JOB_VERBS = ("show", "attach", "wait", "cancel", "retry", "delete")

T = TypeVar("T")


class Completion:
    """Completion of one shell."""

    def __init__(self, shell: InteractiveShell, verbs: Sequence[str]) -> None:
        self._shell = shell
        self._verbs = verbs
        self._models = _CachedRequest[ModelsInfo](lambda api: api.models(refresh=False))
        self._jobs = _CachedRequest[Any](lambda api: api.jobs(limit=500))
        self._completers: dict[str, Callable[[list[str]], Iterable[str]]] = {
            "costs": self._after_costs,
            "list": self._after_list,
            "models": self._after_models,
            "mute": self._after_mute,
            "threads": self._after_threads,
        }

    def install(self) -> None:
        """Register with the completer of the shell; replaces an earlier registration."""
        completer = self._shell.Completer

        @context_matcher(identifier="jupyter_bgstream", priority=1000)  # type: ignore[untyped-decorator]
        def bgstream(context: CompletionContext) -> SimpleMatcherResult:
            return self.match(context)

        others = [each for each in completer.custom_matchers if _identifier(each) != "jupyter_bgstream"]
        completer.custom_matchers = [*others, bgstream]

    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Return candidates at the cursor; lines of the magics get no other candidates if there are any."""
        before = context.text_until_cursor
        in_cell = context.full_text.startswith("%%bg")
        if in_cell and context.cursor_line == 0 and _CELL.match(before):
            words, fragment = _split(_CELL.sub("", before, count=1))
            return _result(fragment, self._after_cell_magic(words, fragment), "magic")
        if _LINE.match(before):
            words, fragment = _split(_LINE.sub("", before, count=1))
            return _result(fragment, self._after_line_magic(words, fragment), "magic")
        if in_cell and context.cursor_line > 0 and (expression := _EXPRESSION.search(before)):
            return _result(expression[1], self._names(expression[1]), "instance")
        return SimpleMatcherResult(completions=[])

    def _after_cell_magic(self, words: list[str], fragment: str) -> Iterable[str]:
        option = words[-1] if words else ""
        match option:
            case "--thread":
                return self._threads()
            case "--param":
                name, equals, _ = fragment.partition("=")
                if equals:
                    return [f"{name}={value}" for value in _EFFORTS] if name == "reasoning_effort" else []
                return [f"{each}=" for each in PARAMS]
            case "--image":
                return self._names(fragment)
            case "--file":
                return _paths(fragment)
            case "--system" | "--name" | "--idle-timeout":
                return []
            case _ if option in CHOICES:
                return CHOICES[option]
        if fragment.startswith("-"):
            return [each for each in OPTIONS if each not in words or each in ("--file", "--image", "--param")]
        info = self._models.get()
        if info is None:
            return []
        names = [model for provider in info.providers for model in provider.models]
        return [*info.aliases, *names, *([] if fragment else OPTIONS)]

    def _after_line_magic(self, words: list[str], fragment: str) -> Iterable[str]:
        if not words:
            return self._verbs
        verb, *arguments = words
        if verb in _JOB_VERBS:
            return self._after_job_verb(verb, arguments, fragment)
        complete = self._completers.get(verb)
        return complete(arguments) if complete else []

    def _after_job_verb(self, verb: str, arguments: list[str], fragment: str) -> list[str]:
        if verb == "attach" and len(arguments) == 1:
            return []  # a new name
        options = ["--force"] if verb == "delete" and fragment.startswith("-") else []
        return [each for each in (*self._job_refs(verb), *options) if each not in arguments]

    def _after_list(self, arguments: list[str]) -> Iterable[str]:
        return self._threads() if arguments[-1:] == ["--thread"] else [*STATES, "--here", "--thread"]

    def _after_models(self, arguments: list[str]) -> Iterable[str]:
        info = None if arguments else self._models.get()
        return [provider.name for provider in info.providers] if info else []

    def _after_costs(self, arguments: list[str]) -> Iterable[str]:
        return [] if arguments else KEYS

    def _after_mute(self, arguments: list[str]) -> Iterable[str]:
        return self._threads() if arguments[-1:] == ["thread"] else ["on", "off", "thread"]

    def _after_threads(self, arguments: list[str]) -> Iterable[str]:
        match arguments:
            case []:
                return ACTIONS
            case [_]:
                return self._threads()
            case ["fork", _, _]:
                return self._job_refs("fork")
        return []

    def _job_refs(self, verb: str) -> list[str]:
        infos = [info for info in self._newest_jobs() if _is_candidate(verb, info)][:_JOBS]
        return [*self._variables(), *(short(info.id) for info in infos)]

    def _variables(self) -> list[str]:
        kinds = (Job, Jobs, Comparison)
        return [name for name, value in self._shell.user_ns.items() if isinstance(value, kinds) and name[0] != "_"]

    def _threads(self) -> list[str]:
        names = dict.fromkeys(info.thread for info in self._newest_jobs() if info.thread)
        return [name if name.isidentifier() or " " not in name else f"'{name}'" for name in names]

    def _newest_jobs(self) -> list[JobInfo]:
        page = self._jobs.get()
        return page.jobs if page is not None else []

    def _names(self, fragment: str) -> list[str]:
        completer: Any = self._shell.Completer
        found = completer.attr_matches(fragment) if "." in fragment else completer.global_matches(fragment)
        hidden = fragment.rpartition(".")[2][:1] != "_"
        return [each for each in found if not (hidden and each.rpartition(".")[2][:1] == "_")]


def _paths(fragment: str) -> list[str]:
    """Return files and folders with this prefix; a folder ends in a slash, so that Tab can continue in it."""
    folder, slash, beginning = fragment.rpartition("/")
    before = folder + slash
    try:
        found = sorted(Path(before).expanduser().iterdir()) if before else sorted(Path.cwd().iterdir())
        named = [path.name + ("/" if path.is_dir() else "") for path in found]
    except OSError:
        return []
    names = [name for name in named if name.startswith(beginning) and (name[0] != "." or beginning.startswith("."))]
    return [before + name.replace(" ", "\\ ") for name in names[:_PATHS]]


class _CachedRequest(Generic[T]):
    """Request whose response is reused for a while; errors are ignored."""

    def __init__(self, request: Callable[[Api], Any]) -> None:
        self._request = request
        self._value: T | None = None
        self._at = -_FRESH
        self._pending: concurrent.futures.Future[T] | None = None

    def get(self) -> T | None:
        """Return the newest response that arrives in time, or None."""
        if self._pending is None and time.monotonic() - self._at >= _FRESH:
            self._pending = default_background.start(self._request)
        if self._pending is not None:
            # A later response is there for the next Tab.
            concurrent.futures.wait((self._pending,), timeout=PATIENCE)
            if self._pending.done():
                if self._pending.exception() is None:
                    self._value, self._at = self._pending.result(), time.monotonic()
                self._pending = None
        return self._value


def _split(text: str) -> tuple[list[str], str]:
    """Return the complete words, and the fragment at the cursor."""
    words = text.split()
    return (words, "") if not text or text[-1].isspace() else (words[:-1], words[-1])


def _is_candidate(verb: str, info: JobInfo) -> bool:
    unfinished = info.status in UNFINISHED
    return unfinished if verb in ("wait", "cancel") else not unfinished if verb in ("retry", "delete") else True


def _result(fragment: str, found: Iterable[str], kind: str) -> SimpleMatcherResult:
    matching = [each for each in dict.fromkeys(found) if each.startswith(fragment)]
    return SimpleMatcherResult(
        completions=[SimpleCompletion(text=each, type=kind) for each in matching],
        matched_fragment=fragment,
        suppress=bool(matching),
        ordered=True,
    )


def _identifier(matcher: Any) -> str:
    return str(getattr(matcher, "matcher_identifier", ""))
