"""A worker process of tests: `python laborer.py LEASE JOBS_AT_ONCE`, with its settings on standard input.

It says "ready" when it works, and ends when it is told to (SIGTERM).
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from tenfold.platform.bus import open_bus
from tenfold.platform.db import Database, open_database
from tenfold.platform.ids import Ids
from tenfold.platform.jobs import Jobs, Work, job, run_jobs, worker
from tenfold.platform.live import open_live
from tenfold.platform.settings import Secret, Settings


class Count(msgspec.Struct):
    to: int = 0
    #: Seconds that a number takes.
    pause: float = 0.0


class Where(msgspec.Struct):
    """How a process reaches the engines of a test."""

    database: str
    nats: str
    namespace: str
    data: str


@job(Count, name="tests-count", checkpoint=int)
async def count(db: Database, work: Work[Count]) -> None:
    """Write numbers, each with the checkpoint that says so."""
    for number in range(work.resumed or 0, work.payload.to):
        async with work.transaction() as tx:
            await tx.execute("INSERT INTO effect VALUES ($1, $2, $3)", work.id, number, os.getpid())
            await work.checkpoint(number + 1, tx)
        work.progress(number + 1, work.payload.to)
        await asyncio.sleep(work.payload.pause)


@job(Count, name="tests-stumble", checkpoint=int)
async def stumble(db: Database, work: Work[Count]) -> None:
    """Write numbers, and believe for a second between two of them that nothing has happened meanwhile."""
    for number in range(work.resumed or 0, work.payload.to):
        try:
            async with work.transaction() as tx:
                await tx.execute("INSERT INTO effect VALUES ($1, $2, $3)", work.id, number, os.getpid())
                await work.checkpoint(number + 1, tx)
        finally:
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO tried VALUES ($1, $2, $3)", work.id, number, os.getpid())
        await asyncio.sleep(work.payload.pause)


@job(Count, name="tests-freeze", checkpoint=int)
async def freeze(db: Database, work: Work[Count]) -> None:
    """Stop the process at the worst moment: with the row of the job locked, and a commit yet to come."""
    async with work.transaction() as tx:
        await tx.execute("INSERT INTO effect VALUES ($1, 0, $2)", work.id, os.getpid())
        await work.checkpoint(1, tx)
        if work.attempt == 1:
            os.kill(os.getpid(), signal.SIGSTOP)


@job(Count, name="tests-poison")
async def poison(_: Database, work: Work[Count]) -> None:
    await asyncio.sleep(work.payload.pause)
    os.kill(os.getpid(), signal.SIGKILL)


KINDS = (count, stumble, freeze, poison)


async def main(lease: float, at_once: float) -> None:
    worker.LEASE, worker.BEAT = lease, lease / 8
    where = msgspec.json.decode(sys.stdin.buffer.readline(), type=Where)
    settings: Any = Settings(
        database_url=Secret(where.database),
        nats_url=Secret(where.nats),
        namespace=where.namespace,
        data=Path(where.data),
        database_pool=6,
        jobs_at_once=at_once,
    )
    db, bus = await open_database(settings), await open_bus(settings)
    live = await open_live(bus)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await run_jobs(Jobs(db, bus, live, Ids(os.getpid() % 1000), settings), [(kind, db) for kind in KINDS], stop)
    await live.close()
    await bus.close()
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), float(sys.argv[2])))
