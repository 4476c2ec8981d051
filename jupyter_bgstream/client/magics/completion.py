"""What Tab knows in a line of ``%%bg`` or ``%bg``, and in braces of a prompt."""

from __future__ import annotations

import concurrent.futures
import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

from ...core.schemas import JobInfo, ModelsInfo
from ..costs import KEYS
from ..job_handle import Job
from ..job_list import Comparison, Jobs
from ..job_table import short
from ..session import later
from .bg_line import STATES
from .options import CHOICES, OPTIONS, PARAMS
from .resolve import UNFINISHED
from .threads import ACTIONS

if TYPE_CHECKING:
    from ..api import Api

PATIENCE = 1.0  # seconds for which Tab may ask the server
_FRESH = 10.0  # seconds for which its answer will do
_JOBS = 50  # newest jobs offered
_PATHS = 500  # files offered

_CELL = re.compile(r"\s*%%bg\s")
_LINE = re.compile(r"\s*%bg\s+")
_EXPRESSION = re.compile(r"\{([A-Za-z_][\w.]*)$")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_OF_JOBS = ("show", "attach", "wait", "cancel", "retry", "rm")

T = TypeVar("T")


class Completion:
    """The completions of one shell."""

    def __init__(self, shell: InteractiveShell, verbs: Sequence[str]) -> None:
        self._shell = shell
        self._verbs = verbs
        self._models = _Remembered[ModelsInfo](lambda api: api.models(refresh=False))
        self._jobs = _Remembered[Any](lambda api: api.jobs(limit=500))

    def install(self) -> None:
        """Tell the shell's completer; instead of one that was there when the extension was loaded before."""
        completer = self._shell.Completer

        @context_matcher(identifier="jupyter_bgstream", priority=1000)  # type: ignore[untyped-decorator]
        def bgstream(context: CompletionContext) -> SimpleMatcherResult:
            return self.match(context)

        others = [each for each in completer.custom_matchers if _identifier(each) != "jupyter_bgstream"]
        completer.custom_matchers = [*others, bgstream]

    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Return what may stand at the cursor. In our lines nothing else is offered, unless we know of nothing."""
        before = context.text_until_cursor
        in_cell = context.full_text.startswith("%%bg")
        if in_cell and context.cursor_line == 0 and _CELL.match(before):
            words, fragment = _cut(_CELL.sub("", before, count=1))
            return _result(fragment, self._after_cell_magic(words, fragment), "magic")
        if _LINE.match(before):
            words, fragment = _cut(_LINE.sub("", before, count=1))
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
        match words:
            case []:
                return self._verbs
            case ["list", *rest]:
                return self._threads() if rest[-1:] == ["--thread"] else [*STATES, "--here", "--thread"]
            case ["models"]:
                info = self._models.get()
                return [provider.name for provider in info.providers] if info else []
            case ["cost"]:
                return KEYS
            case ["mute", *rest]:
                return self._threads() if rest[-1:] == ["thread"] else ["on", "off", "thread"]
            case ["threads"]:
                return ACTIONS
            case ["threads", "fork", _, _]:
                return self._named_jobs("fork")
            case ["threads", _]:
                return self._threads()
            case ["attach", _]:
                return []
            case [verb, *rest] if verb in _OF_JOBS:
                more = ["--force"] if verb == "rm" and fragment.startswith("-") else []
                return [each for each in (*self._named_jobs(verb), *more) if each not in rest]
        return []

    def _named_jobs(self, verb: str) -> list[str]:
        infos = [info for info in self._known_jobs() if _makes_sense(verb, info)][:_JOBS]
        return [*self._variables(), *(short(info.id) for info in infos)]

    def _variables(self) -> list[str]:
        held = (Job, Jobs, Comparison)
        return [name for name, value in self._shell.user_ns.items() if isinstance(value, held) and name[0] != "_"]

    def _threads(self) -> list[str]:
        names = dict.fromkeys(info.thread for info in self._known_jobs() if info.thread)
        return [name if name.isidentifier() or " " not in name else f"'{name}'" for name in names]

    def _known_jobs(self) -> list[JobInfo]:
        page = self._jobs.get()
        return page.jobs if page is not None else []

    def _names(self, fragment: str) -> list[str]:
        completer: Any = self._shell.Completer
        found = completer.attr_matches(fragment) if "." in fragment else completer.global_matches(fragment)
        hidden = fragment.rpartition(".")[2][:1] != "_"
        return [each for each in found if not (hidden and each.rpartition(".")[2][:1] == "_")]


def _paths(fragment: str) -> list[str]:
    """Return files and folders that begin so; a folder ends in a slash, so that Tab goes on in it."""
    folder, slash, beginning = fragment.rpartition("/")
    before = folder + slash
    try:
        found = sorted(Path(before).expanduser().iterdir()) if before else sorted(Path.cwd().iterdir())
        named = [path.name + ("/" if path.is_dir() else "") for path in found]
    except OSError:
        return []
    names = [name for name in named if name.startswith(beginning) and (name[0] != "." or beginning.startswith("."))]
    return [before + name.replace(" ", "\\ ") for name in names[:_PATHS]]


class _Remembered(Generic[T]):
    """What the server said, asked again when it is old. Tab waits a moment for it, and never for an error."""

    def __init__(self, ask: Callable[[Api], Any]) -> None:
        self._ask = ask
        self._value: T | None = None
        self._at = -_FRESH
        self._asked: concurrent.futures.Future[T] | None = None

    def get(self) -> T | None:
        """Return the newest answer there is in time, or None."""
        if self._asked is None and time.monotonic() - self._at >= _FRESH:
            self._asked = later(self._ask)
        if self._asked is not None:
            # The next Tab finds what has come later.
            concurrent.futures.wait((self._asked,), timeout=PATIENCE)
            if self._asked.done():
                if self._asked.exception() is None:
                    self._value, self._at = self._asked.result(), time.monotonic()
                self._asked = None
        return self._value


def _cut(text: str) -> tuple[list[str], str]:
    """Return the whole words, and what stands at the cursor."""
    words = text.split()
    return (words, "") if not text or text[-1].isspace() else (words[:-1], words[-1])


def _makes_sense(verb: str, info: JobInfo) -> bool:
    going = info.status in UNFINISHED
    return going if verb in ("wait", "cancel") else not going if verb in ("retry", "rm") else True


def _result(fragment: str, found: Iterable[str], kind: str) -> SimpleMatcherResult:
    fitting = [each for each in dict.fromkeys(found) if each.startswith(fragment)]
    return SimpleMatcherResult(
        completions=[SimpleCompletion(text=each, type=kind) for each in fitting],
        matched_fragment=fragment,
        suppress=bool(fitting),
        ordered=True,
    )


def _identifier(matcher: Any) -> str:
    return str(getattr(matcher, "matcher_identifier", ""))
