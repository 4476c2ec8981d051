"""``%bg threads``: list, show, fork, rename and delete conversations."""

from __future__ import annotations

import importlib
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from .errors import MagicError
from .named import one

ACTIONS = ("show", "fork", "rename", "delete")


def manage(shell: InteractiveShell, words: list[str]) -> None:
    """Do what the words say; raises MagicError."""
    client = importlib.import_module("jupyter_bgstream.client")
    match words:
        case [] | ["list"]:
            shell.display_pub.publish(client.threads().bundle())
        case ["show", name]:
            for message in client.thread(name).messages:
                print(f"{_role(message)}:\n{_words(message)}\n")  # noqa: T201
        case ["fork", name, new]:
            client.thread(name).fork(new)
            print(f"The thread {new} begins with all of {name}.")  # noqa: T201
        case ["fork", name, new, last]:
            job = one(last, shell.user_ns)
            client.thread(name).fork(new, after=job.id)
            print(f"The thread {new} begins with {name} up to {job.title!r}.")  # noqa: T201
        case ["rename", name, new]:
            client.thread(name).rename(new)
            print(f"The thread {name} is called {new} now.")  # noqa: T201
        case ["delete", name]:
            client.thread(name).delete()
            print(f"The thread {name} is deleted, with all of its jobs.")  # noqa: T201
        case _:
            raise MagicError(
                "%bg threads takes nothing, or show NAME, fork NAME NEW [JOB], rename NAME NEW, or delete NAME."
            )


def _role(message: Any) -> str:
    return str(message["role"] if isinstance(message, dict) else message.role)


def _words(message: Any) -> str:
    content = message["content"] if isinstance(message, dict) else message.content
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] if part.get("type") == "text" else "[a picture]" for part in content)
