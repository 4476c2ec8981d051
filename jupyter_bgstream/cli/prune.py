"""``jupyter bgstream prune``: delete old answers now, with or without running servers."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import time
from pathlib import Path

from ..core.errors import BgStreamError
from ..engine.clock import SystemClock
from ..engine.retention import DAY, PAUSE, Deleted, delete_old, megabytes
from ..store.port_values import ExpiredJob
from ..store.sqlite import SQLiteStore

EVERYTHING = 1_000_000_000  # answers


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``prune`` to the subcommands."""
    prune = commands.add_parser(
        "prune",
        help="delete old answers",
        description="Delete answers that were read or dismissed long ago. Queued and running jobs are never deleted,"
        " and unread answers only with --unread. Jupyter servers may run at the same time. In a database that several"
        " JupyterHub users share, only your own answers are deleted, unless --all-users is given.",
    )
    prune.add_argument("--days", type=_days, help="minimum age (default: BgStreamApp.retention_days)")
    prune.add_argument("--all-read", action="store_true", help="of any age: the same as --days 0")
    prune.add_argument("--unread", action="store_true", help="also unread answers of that age")
    prune.add_argument("--all-users", action="store_true", help="also the answers of other users of the database")
    prune.add_argument("--dry-run", action="store_true", help="print what would be deleted, and delete nothing")
    prune.add_argument("--database", type=Path, help="path of the database (default: from the server's config)")
    prune.set_defaults(run=run_prune)


def _days(text: str) -> float:
    days = float(text)
    if not days >= 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return days


def run_prune(options: argparse.Namespace) -> int:
    """Delete old answers, or print what would be deleted; return 1 if the database cannot be opened."""
    from ..server.identity import server_owner  # these import all of Jupyter's server
    from .settings import has_database, load_settings

    app = load_settings().app
    days: float | None = 0 if options.all_read else options.days
    if days is None:
        days = app.retention_days
        if not days:
            print("BgStreamApp.retention_days is 0, so that answers are never deleted. Use --days.")
            return 0
    if options.database is not None:
        app.database = str(options.database)
    if not has_database(app):
        print(f"There is no database {app.database_path}.", file=sys.stderr)
        return 1
    try:
        store = app.open_database(f"prune-{secrets.token_hex(4)}")
        owner = None if options.all_users else server_owner()
        return asyncio.run(_prune(store, owner=owner, days=days, unread=options.unread, dry_run=options.dry_run))
    except BgStreamError as error:
        print(error, file=sys.stderr)
        return 1


async def _prune(store: SQLiteStore, *, owner: str | None, days: float, unread: bool, dry_run: bool) -> int:
    clock = SystemClock()
    before = time.time() - days * DAY
    await store.open()
    try:
        old = {"read": await store.expired_jobs(owner=owner, before=before, unread=False, limit=EVERYTHING)}
        unread_jobs = await store.expired_jobs(owner=owner, before=before, unread=True, limit=EVERYTHING)
        of_all_users = await store.expired_jobs(owner=None, before=before, unread=False, limit=EVERYTHING)
        if unread:
            old["unread"] = unread_jobs
        verb = "Would delete" if dry_run else "Deleting"
        for kind, jobs in old.items():
            print(f"{verb} {_answers(kind, len(jobs))} ({megabytes(_bytes(jobs))}), older than {days:g} days.")
        if unread_jobs and not unread:
            print(
                f"Not deleted: {_answers('unread', len(unread_jobs))} of that age. Use --unread to delete them as well."
            )
        if others := len(of_all_users) - len(old["read"]):
            print(f"Not deleted: {_answers('read', others)} of other users. --all-users deletes them as well.")
        if dry_run:
            return 0
        size = await store.size(owner=None)
        deleted = Deleted()
        for kind, jobs in old.items():
            if jobs:
                deleted += await delete_old(store, clock, owner=owner, before=before, unread=kind == "unread")
        await store.forget_forks(owner=owner, before=before)
        while await store.compact():
            await clock.sleep(PAUSE)
        size_now = await store.size(owner=None)
    finally:
        await store.close()
    print(f"Deleted {_answers('', deleted.jobs)}: {megabytes(size)} in use before, {megabytes(size_now)} now.")
    return 0


def _answers(kind: str, count: int) -> str:
    return " ".join(filter(None, [f"{count:,}", kind, "answer" if count == 1 else "answers"]))


def _bytes(jobs: list[ExpiredJob]) -> int:
    return sum(job.bytes for job in jobs)
