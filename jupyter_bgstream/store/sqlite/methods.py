"""Store methods made from transaction operations and queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from .database import SQLiteDatabase
from .transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")


def write_method(
    operation: Callable[Concatenate[Transaction, P], T],
) -> Callable[Concatenate[SQLiteDatabase, P], Coroutine[Any, Any, T]]:
    """Return a method that runs an operation in the writer's next transaction."""

    @wraps(operation)
    async def method(self: SQLiteDatabase, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._open.writer.run(lambda transaction: operation(transaction, *args, **kwargs))

    return method


def read_method(
    query: Callable[Concatenate[sqlite3.Connection, P], T],
) -> Callable[Concatenate[SQLiteDatabase, P], Coroutine[Any, Any, T]]:
    """Return a method that runs a query in a reader's thread."""

    @wraps(query)
    async def method(self: SQLiteDatabase, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._open.readers.run(lambda db: query(db, *args, **kwargs))

    return method
