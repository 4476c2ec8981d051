"""``%bg threads``: list, show, fork, rename and delete threads."""

from IPython.core.interactiveshell import InteractiveShell

from ...core.terminal_text import visible, visible_line
from ..threads import thread, threads
from .errors import MagicError
from .resolve import resolve_one
from .show import content_text

ACTIONS = ("show", "fork", "rename", "delete")


def manage(shell: InteractiveShell, words: list[str]) -> None:
    """Run a verb of ``%bg threads``; raises MagicError."""
    match words:
        case [] | ["list"]:
            shell.display_pub.publish(threads().bundle())
        case ["show", name]:
            for message in thread(name).messages:
                print(visible(f"{message['role']}:\n{content_text(message['content'])}\n"))  # noqa: T201
        case ["fork", name, new]:
            thread(name).fork(new)
            print(visible_line(f"Thread {new} begins with all of {name}."))  # noqa: T201
        case ["fork", name, new, last]:
            job = resolve_one(last, shell.user_ns)
            thread(name).fork(new, after=job.id)
            print(visible_line(f"Thread {new} begins with {name} up to {job.title!r}."))  # noqa: T201
        case ["rename", name, new]:
            thread(name).rename(new)
            print(visible_line(f"Thread {name} was renamed to {new}."))  # noqa: T201
        case ["delete", name]:
            thread(name).delete()
            print(visible_line(f"Thread {name} was deleted with all of its jobs."))  # noqa: T201
        case _:
            raise MagicError(
                "%bg threads takes no argument, or show NAME, fork NAME NEW [JOB], rename NAME NEW, or delete NAME."
            )
