"""Batches: the same question for every row of a table.

batch = map(table, "Classify: {text}", model="openai/gpt-5-mini")
batch.wait().to_frame()
"""

from .estimate import Estimate
from .handle import Batch
from .map_function import batch, map

__all__ = ["Batch", "Estimate", "batch", "map"]
