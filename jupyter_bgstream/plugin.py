"""Public types for plug-ins; a plug-in needs no other module of this package.

A plug-in is an async generator function ``agent(messages, model, params)``, named by an entry point of the group
``jupyter_bgstream.providers``. It yields ``str`` for text and these types for everything else; its return is the end.
See docs/how-to/plugins.md.
"""

import msgspec

from .core.errors import ProviderError
from .core.events import Citation, ToolCall, Usage

__all__ = ["Citation", "Finish", "ProviderError", "Reasoning", "ToolCall", "Usage"]


class Reasoning(str):
    """A piece of the model's reasoning; views show it collapsed."""

    __slots__ = ()


class Finish(msgspec.Struct, frozen=True):
    """The reason for the end of an incomplete answer: ``length``, ``content_filter``, ``tool_calls``, ``refusal``."""

    reason: str
