"""REST handlers: costs and prices."""

from typing import get_args

from ..core.costs import By
from ..core.schemas.server_info import CostList
from .base import ApiHandler, endpoint
from .request_bodies import no_default_model

MAX_TIME = 10**11  # Unix seconds, about 3,000 years from now
MAX_TOKENS = 10**9  # in one price request
COST_KEYS: tuple[By, ...] = get_args(By)


class CostsHandler(ApiHandler):
    """``costs``."""

    @endpoint
    async def get(self) -> None:
        """Return the costs of jobs, summed by day or another key."""
        self.check_query("by", "since", "until")
        by = self.query_choice("by", COST_KEYS, "day")
        since, until = (self.query_integer(name, None, maximum=MAX_TIME) for name in ("since", "until"))
        costs = await self.engine.costs.by(self.owner, by, since=since, until=until)
        self.answer(CostList(by=by, costs=costs, today=self.engine.costs.today))


class PricesHandler(ApiHandler):
    """``prices``."""

    @endpoint
    async def get(self) -> None:
        """Return the list price of a request and the full name of its model."""
        self.check_query("model", "input_tokens", "output_tokens")
        model = self.get_query_argument("model", "", strip=False)
        if not model and (default := await self.engine.default()) is not None:
            model = default.model
        if not model:
            raise no_default_model()
        tokens = {
            name: self.query_integer(name, None, maximum=MAX_TOKENS) or 0 for name in ("input_tokens", "output_tokens")
        }
        self.answer(await self.engine.costs.price(model, **tokens))


ROUTES = [
    (r"costs", CostsHandler),
    (r"prices", PricesHandler),
]
