"""Costs of jobs by day, model and the like, and list prices of requests."""

import msgspec

from ..core.costs import By, CostRow, Price
from ..core.errors import InvalidRequestError, ProviderError
from ..core.events import Usage
from ..store.cost_ledger import day_of
from .context import EnginePart


class CostReports(EnginePart):
    """Costs and prices."""

    @property
    def today(self) -> str:
        """The current day, as the costs by day have it."""
        return day_of(self._clock.time())

    async def by(self, owner: str, by: By, *, since: float | None, until: float | None) -> list[CostRow]:
        """Return the usage of an owner's jobs that were submitted in that time, in Unix seconds."""
        return await self._store.costs(owner, by, since=since, until=until)

    async def price(self, model: str, *, input_tokens: int, output_tokens: int) -> Price:
        """Return the list price of a request; without tokens only the model's full name.

        Raises:
            InvalidRequestError: no provider here has the model.

        """
        model = self._providers.full_name(model)
        usage = Usage(input_tokens=input_tokens, output_tokens=0)
        try:
            self._providers.resolve(model)
            usage = await self._providers.price(model, usage) if input_tokens else usage
            total = msgspec.structs.replace(usage, output_tokens=output_tokens, cost=None)
            total = await self._providers.price(model, total) if output_tokens else total
        except ProviderError as error:
            raise InvalidRequestError(error.message, field="model", code=error.code) from None
        output = None if total.cost is None else max(0.0, total.cost - (usage.cost or 0.0))
        return Price(model=model, input_usd=usage.cost, output_usd=output)
