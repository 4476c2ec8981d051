"""What a plug-in yields: ``jupyter_bgstream.plugin``. It is the only module of ours that a plug-in needs.

A plug-in is an async generator function ``agent(messages, model, params)``, named by an entry point of the group
``jupyter_bgstream.providers``. It yields ``str`` for text and what is here for all else; its return is the end.
See docs/plugins.md.
"""

from __future__ import annotations

import msgspec

from .core.errors import ProviderError
from .core.events import Citation, ToolCall, Usage

__all__ = ["Citation", "Finish", "ProviderError", "Reasoning", "ToolCall", "Usage"]


class Reasoning(str):
    """A piece of what the model thought before it answered; shown folded."""

    __slots__ = ()


class Finish(msgspec.Struct, frozen=True):
    """Why the answer ends, if not because it is whole: ``length``, ``content_filter``, ``tool_calls``, ``refusal``."""

    reason: str
