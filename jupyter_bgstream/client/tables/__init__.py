"""Tables: the same question for every row, as one batch.

batch = map(table, "Classify: {text}", model="openai/gpt-5-mini")
batch.wait().frame()
"""

from __future__ import annotations

from .batch import Batch
from .estimate import Estimate
from .mapping import batch, map

__all__ = ["Batch", "Estimate", "batch", "map"]
