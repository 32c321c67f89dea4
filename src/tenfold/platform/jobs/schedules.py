"""Schedules: work that is due every so often, done by one process at a time, wherever it runs."""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from tenfold.platform.db import DATABASE_DOWN, Database
from tenfold.platform.errors import TenfoldError, Unavailable

log = structlog.get_logger(__name__)

#: What work in the background sits out.
OUTAGES: tuple[type[Exception], ...] = (Unavailable, *DATABASE_DOWN)

#: Seconds that a process which died keeps a job from others. A living one renews its lease three times as often.
LEASE = 15.0
#: Seconds between looks at a schedule at most: another process may have shortened its interval.
LOOK = 60.0
#: Seconds until a failed run is tried again: this, doubled with each failure, up to the interval itself.
RETRY = 1.0


class LeaseLost(TenfoldError):
    """The lease of {name} was lost, so another process may be running it."""


@dataclass(slots=True)
class Runs:
    """What this process has run: plain numbers for telemetry."""

    succeeded: int = 0
    failed: int = 0
    #: Seconds that the last run took.
    last_seconds: float = 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Schedule:
    """A job and when it is due. Made by `@schedule`, listed by a system in `schedules`."""

    name: str
    #: Seconds.
    every: float
    timeout: float
    job: Callable[[Any], Awaitable[None]]
    runs: Runs = field(default_factory=Runs)


def schedule(
    *, every: timedelta | float, name: str, timeout: float = 300.0
) -> Callable[[Callable[[Any], Awaitable[None]]], Schedule]:
    """Declare `async def job(state)`, where `state` is what the system's `start` has yielded in this process.

    A job is first due when its schedule is first seen, then at a fixed beat; beats that nobody was there for are made
    up for by one run. A run that takes longer than `timeout` seconds, or whose process is told to stop, is cancelled,
    and one whose process dies is begun again elsewhere: so a job does its work in transactions, and may be run again
    at any time.
    """
    seconds = every.total_seconds() if isinstance(every, timedelta) else float(every)
    if seconds <= 0:
        raise ValueError("a schedule is due every so many seconds, more than 0")
    return lambda job: Schedule(name, seconds, timeout, job)


async def run_schedules(db: Database, schedules: Sequence[Schedule], state: Any, stop: asyncio.Event) -> None:
    """Run what is due until `stop` is set; runs under way are then cancelled and left to others.

    While the database is away it waits for it.
    """
    # The process in words, for whoever looks at the table, and a part that no process after it has.
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    async with asyncio.TaskGroup() as group:
        for each in schedules:
            group.create_task(_follow(db, each, state, holder, stop), name=f"schedule {each.name}")


async def _follow(db: Database, schedule: Schedule, state: Any, holder: str, stop: asyncio.Event) -> None:
    known, outages = False, 0
    while not stop.is_set():
        try:
            if not known:
                await _register(db, schedule)
            wait = await _take(db, schedule, holder)
            known, outages = wait is not None, 0
            if wait == 0.0:
                await _run(db, schedule, state, holder, stop)
        except OUTAGES:
            outages += 1
            wait = min(0.25 * 2**outages, LEASE)
        await pause(stop, min(wait or 0.0, LOOK))


async def _register(db: Database, schedule: Schedule) -> None:
    # When the interval has become shorter, the next run doesn't wait for the end of the old one.
    sql = """INSERT INTO platform.schedule (name, due_at) VALUES ($1, now()) ON CONFLICT (name) DO UPDATE
             SET due_at = least(schedule.due_at, now() + make_interval(secs => $2))"""
    async with db.transaction() as tx:
        await tx.execute(sql, schedule.name, schedule.every)


async def _take(db: Database, schedule: Schedule, holder: str) -> float | None:
    """0 when the schedule was due and is leased to us now, else the seconds until that may be so. None: no such row."""
    sql = """UPDATE platform.schedule SET holder = $2, lease_until = now() + make_interval(secs => $3)
             WHERE name = $1 AND due_at <= now() AND (lease_until IS NULL OR lease_until <= now())"""
    when = """SELECT EXTRACT(epoch FROM greatest(due_at, lease_until) - now())::float8
              FROM platform.schedule WHERE name = $1"""
    async with db.transaction() as tx:
        if await tx.execute(sql, schedule.name, holder, LEASE):
            return 0.0
        wait: float | None = await tx.value(when, schedule.name)
        # To the microsecond, one would wake up too early as often as too late.
        return None if wait is None else max(wait, 0.0) + 0.002


async def _run(db: Database, schedule: Schedule, state: Any, holder: str, stop: asyncio.Event) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    error: str | None = None
    try:
        finished = await _guarded(db, schedule, state, holder, stop)
    except Exception as failure:
        finished = True
        error = repr(failure)[:500]
        schedule.runs.failed += 1
        log.exception("schedule_failed", schedule=schedule.name)
    else:
        schedule.runs.succeeded += finished
    schedule.runs.last_seconds = clock() - began
    # The beat goes on from when the run was due, however late it was; a failed run comes back sooner, and one that was
    # cut short by a stop at once.
    sql = """UPDATE platform.schedule SET holder = NULL, lease_until = NULL, error = $3::text,
                 finished_at = CASE WHEN $4::boolean THEN now() ELSE finished_at END,
                 failures = CASE WHEN $3::text IS NULL THEN 0 ELSE failures + 1 END,
                 due_at = CASE
                     WHEN NOT $4::boolean THEN due_at
                     WHEN $3::text IS NULL THEN due_at + make_interval(secs => $5::float8 * (
                         1 + greatest(floor(EXTRACT(epoch FROM now() - due_at)::float8 / $5::float8), 0)))
                     ELSE now() + make_interval(secs => least($5::float8, $6::float8 * 2 ^ least(failures, 20)))
                 END
             WHERE name = $1 AND holder = $2"""
    async with db.transaction() as tx:
        await tx.execute(sql, schedule.name, holder, error, finished, schedule.every, RETRY)


async def _guarded(db: Database, schedule: Schedule, state: Any, holder: str, stop: asyncio.Event) -> bool:
    """Run the job under its timeout and lease. False when `stop` cut it short. Raises what the job raises."""
    job = asyncio.ensure_future(schedule.job(state))
    keeper = asyncio.create_task(_keep(db, schedule, holder))
    stopper = asyncio.create_task(stop.wait())
    try:
        async with asyncio.timeout(schedule.timeout):
            await asyncio.wait((job, keeper, stopper), return_when=asyncio.FIRST_COMPLETED)
        if job.done():
            job.result()
            return True
        if keeper.done():
            keeper.result()
        return False
    finally:
        await _cancel(job, keeper, stopper)


async def _keep(db: Database, schedule: Schedule, holder: str) -> None:
    """Renew the lease until cancelled. Raises LeaseLost when it can't be known to be ours any more."""
    clock = asyncio.get_running_loop().time
    renewed = clock()
    sql = """UPDATE platform.schedule SET lease_until = now() + make_interval(secs => $3)
             WHERE name = $1 AND holder = $2"""
    while True:
        await asyncio.sleep(LEASE / 3)
        before = clock()
        try:
            async with asyncio.timeout(LEASE / 3), db.transaction() as tx:
                held = await tx.execute(sql, schedule.name, holder, LEASE) == 1
            renewed = before
        except OUTAGES:
            held = clock() - renewed < LEASE * 2 / 3
        if not held:
            raise LeaseLost(name=schedule.name)


async def _cancel(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but no longer than until `stop` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
