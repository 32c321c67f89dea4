"""Numbers that processes draw from the database in leases: ranges of counters, and worker numbers for ids."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from tenfold.platform.db import Database, Tx
from tenfold.platform.errors import TenfoldError, Unavailable
from tenfold.platform.ids import WORKERS

#: A worker number is kept this long without renewal; renewals come six times as often.
WORKER_LEASE_SECONDS = 60


class NoWorkerNumber(TenfoldError):
    """All worker numbers are leased: more processes run than ids can tell apart."""

    status = 503


async def take_range(tx: Tx, name: str, size: int, *, start: int) -> range:
    """The next `size` numbers of a counter that begins at `start`. Once committed, nobody gets them again."""
    sql = """INSERT INTO platform.counter (name, next) VALUES ($1, $3::bigint + $2)
             ON CONFLICT (name) DO UPDATE SET next = platform.counter.next + $2 RETURNING next"""
    end = await tx.value(sql, name, size, start)
    return range(end - size, end)


class Counter:
    """A counter of one process, leased in ranges: a round trip per range, none per number."""

    def __init__(self, db: Database, name: str, *, start: int, lease: int) -> None:
        self._db = db
        self._name = name
        self._start = start
        self._lease = lease
        self._free = iter(range(0))
        self._left = 0
        self._lock = asyncio.Lock()

    async def take(self, count: int = 1) -> list[int]:
        """Numbers that nobody else has or will have; those of a lost process are never used."""
        async with self._lock:
            numbers = [number for number, _ in zip(self._free, range(min(count, self._left)), strict=False)]
            self._left -= len(numbers)
            if missing := count - len(numbers):
                async with self._db.transaction() as tx:
                    fresh = await take_range(tx, self._name, max(self._lease, missing), start=self._start)
                numbers += fresh[:missing]
                self._free, self._left = iter(fresh[missing:]), len(fresh) - missing
            return numbers


@contextlib.asynccontextmanager
async def worker_number(db: Database) -> AsyncIterator[int]:
    """A number below 1,024 that no other living process has, renewed in the background until the end.

    A process that could not renew for a whole lease ends itself rather than make ids that another might make too.
    Raises NoWorkerNumber.
    """
    number = await _lease_worker(db)
    keeper = asyncio.create_task(_keep(db, number), name="worker-number")
    try:
        yield number
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
        with contextlib.suppress(Unavailable):
            async with db.transaction() as tx:
                await tx.execute("DELETE FROM platform.worker WHERE number = $1", number)


async def _lease_worker(db: Database) -> int:
    # The lowest number that is free or lapsed. Two processes that meet on one number try again.
    sql = """INSERT INTO platform.worker (number, lease_until)
             SELECT n, now() + make_interval(secs => $2) FROM generate_series(0, $1 - 1) n
             WHERE NOT EXISTS (SELECT FROM platform.worker w WHERE w.number = n AND w.lease_until > now())
             ORDER BY n LIMIT 1
             ON CONFLICT (number) DO UPDATE SET lease_until = excluded.lease_until
             WHERE platform.worker.lease_until < now() RETURNING number"""
    for _ in range(100):
        async with db.transaction() as tx:
            number = await tx.value(sql, WORKERS, WORKER_LEASE_SECONDS)
        if number is not None:
            return int(number)
    raise NoWorkerNumber


async def _keep(db: Database, number: int) -> None:
    clock = asyncio.get_running_loop().time
    renewed = clock()
    while True:
        await asyncio.sleep(WORKER_LEASE_SECONDS / 6)
        try:
            async with db.transaction() as tx:
                sql = "UPDATE platform.worker SET lease_until = now() + make_interval(secs => $2) WHERE number = $1"
                await tx.execute(sql, number, WORKER_LEASE_SECONDS)
            renewed = clock()
        except Unavailable:
            if clock() - renewed > WORKER_LEASE_SECONDS:
                os._exit(70)
