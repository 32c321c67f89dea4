"""For tests: jobs submitted, worked on in this process, and looked at."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from tenfold.platform.jobs.jobs import Jobs
from tenfold.platform.jobs.kinds import Job
from tenfold.platform.jobs.types import Priority, StoredJob
from tenfold.platform.jobs.worker import run_jobs

_COLUMNS = ", ".join(field.name for field in msgspec.structs.fields(StoredJob))


class Office:
    """Jobs as tests see them."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs

    async def submit(
        self,
        job: Job[Any],
        payload: Any,
        *,
        account_id: int | None = None,
        priority: Priority = Priority.NORMAL,
        delay: float = 0.0,
    ) -> int:
        """Submit a job in a transaction of its own."""
        async with self.jobs.db.transaction() as tx:
            return await self.jobs.submit(tx, job, payload, account_id=account_id, priority=priority, delay=delay)

    async def job(self, number: int) -> StoredJob:
        """A job, whosever it is."""
        async with self.jobs.db.read(fresh=True) as tx:
            return await tx.one(StoredJob, f"SELECT {_COLUMNS} FROM platform.job WHERE id = $1", number)  # noqa: S608

    async def until(self, number: int, *states: str, timeout: float = 60.0) -> StoredJob:
        """The job, as soon as it is in one of these states. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while (row := await self.job(number)).state not in states:  # noqa: ASYNC110 - it holds in a server
                await asyncio.sleep(0.01)
            return row

    @asynccontextmanager
    async def working(self, *jobs: Job[Any], state: Any = None, **settings: Any) -> AsyncIterator[None]:
        """A worker with these kinds, one system's, with other settings where they are named."""
        changed = msgspec.structs.replace(self.jobs.settings, **settings)
        office = Jobs(self.jobs.db, self.jobs.bus, self.jobs.live, self.jobs.ids, changed)
        stop = asyncio.Event()
        running = asyncio.create_task(run_jobs(office, [(job, state) for job in jobs], stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def work_off(self, kinds: Sequence[tuple[Job[Any], Any]], *, timeout: float = 60.0) -> None:
        """Work, with each kind's state, until nothing waits or runs. Raises TimeoutError."""
        names = [job.name for job, _ in kinds]
        sql = "SELECT count(*) FROM platform.job WHERE kind = ANY($1::text[]) AND state IN ('queued', 'running')"
        stop = asyncio.Event()
        running = asyncio.create_task(run_jobs(self.jobs, kinds, stop))
        try:
            async with asyncio.timeout(timeout):
                while True:
                    async with self.jobs.db.read(fresh=True) as tx:
                        if await tx.value(sql, names) == 0:
                            return
                    await asyncio.sleep(0.01)
        finally:
            stop.set()
            await running
