"""Makes the methods of the store: each runs one write operation in a transaction, or one query in a reader thread."""

import inspect
import re
import sqlite3
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from .. import preconditions
from .database import SQLiteDatabase
from .job_writes import Transaction

P = ParamSpec("P")
T = TypeVar("T")

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MISSING = {
    "job_id": preconditions.no_such_job,
    "batch_id": preconditions.no_such_batch,
    "notice_id": preconditions.no_such_notice,
    "image_id": preconditions.no_such_image,
}


def write_method(
    operation: Callable[Concatenate[Transaction, P], T],
) -> Callable[Concatenate[SQLiteDatabase, P], Coroutine[Any, Any, T]]:
    """Return a method that runs an operation in the writer's next transaction."""
    check = _id_check(operation)

    @wraps(operation)
    async def method(self: SQLiteDatabase, /, *args: P.args, **kwargs: P.kwargs) -> T:
        check(*args, **kwargs)
        return await self._open.writer.run(lambda transaction: operation(transaction, *args, **kwargs))

    return method


def read_method(
    query: Callable[Concatenate[sqlite3.Connection, P], T],
) -> Callable[Concatenate[SQLiteDatabase, P], Coroutine[Any, Any, T]]:
    """Return a method that runs a query in a reader's thread."""
    check = _id_check(query)

    @wraps(query)
    async def method(self: SQLiteDatabase, /, *args: P.args, **kwargs: P.kwargs) -> T:
        check(*args, **kwargs)
        return await self._open.readers.run(lambda db: query(db, *args, **kwargs))

    return method


def _id_check(function: Callable[..., Any]) -> Callable[..., None]:
    """Return a function that takes the arguments of a method and raises NotFoundError for a malformed id."""
    places = [
        (place, name) for place, name in enumerate(inspect.signature(function).parameters, -1) if name in _MISSING
    ]

    def check(*args: Any, **kwargs: Any) -> None:
        for place, name in places:
            value = args[place] if place < len(args) else kwargs[name]
            if not _ID.fullmatch(value):
                raise _MISSING[name](value)

    return check
