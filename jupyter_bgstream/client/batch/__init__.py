"""Tables: the same question for every row, as one batch.

batch = map(table, "Classify: {text}", model="openai/gpt-5-mini")
batch.wait().frame()
"""

from __future__ import annotations

from .estimate import Estimate
from .handle import Batch
from .mapping import batch, map

__all__ = ["Batch", "Estimate", "batch", "map"]
