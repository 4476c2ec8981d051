"""Port: tokens and costs, added up."""

from typing import Protocol

from ...core.costs import By, CostRow


class UsageStore(Protocol):
    """Sums of what jobs used, deleted jobs included; see ``cost_ledger``."""

    async def costs(
        self, owner: str, by: By, *, since: float | None = None, until: float | None = None
    ) -> list[CostRow]:
        """Return the costs of jobs that were submitted from ``since`` until ``until``.

        Args:
            owner: Whose jobs.
            by: What a row stands for.
            since: Unix seconds, rounded down to a quarter of an hour; None: from the first job on.
            until: Unix seconds, rounded up to a quarter of an hour; None: up to now.

        Returns:
            The newest day first, else the highest cost first.
        """
