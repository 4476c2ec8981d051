"""``%bg mute``: mute the notices of this notebook or of a thread."""

from ...core.notices import Mute
from ...core.terminal_text import visible_line
from ..jobs_api import mute as switch
from ..jobs_api import mutes, notebook_of
from .errors import MagicError
from .resolve import kernel_id


def mute(words: list[str]) -> None:
    """Mute or unmute, and print what else is muted; raises MagicError."""
    match words:
        case [] | ["on"]:
            on, what = True, Mute(kind="notebook", name=this_notebook())
        case ["off"]:
            on, what = False, Mute(kind="notebook", name=this_notebook())
        case ["thread", name] | ["on", "thread", name] | ["thread", name, "on"]:
            on, what = True, Mute(kind="thread", name=name)
        case ["off", "thread", name] | ["thread", name, "off"]:
            on, what = False, Mute(kind="thread", name=name)
        case _:
            raise MagicError("%bg mute takes on or off for this notebook, or thread NAME for a thread.")
    switch(what, on=on)
    print(visible_line(f"{'Muted' if on else 'Unmuted'} the {what.kind} {what.name}."))  # noqa: T201
    if others := [f"the {each.kind} {each.name}" for each in mutes() if each != what]:
        print(visible_line(f"Also muted: {', '.join(others)}."))  # noqa: T201


def this_notebook() -> str:
    """Return the path of this kernel's notebook; raises MagicError if it has none."""
    kernel = kernel_id()
    path = notebook_of(kernel) if kernel else None
    if path is None:
        raise MagicError("The server knows no notebook of this kernel.")
    return path
