"""Jobs as one process asks for them: submit, look, cancel, watch."""

from typing import TYPE_CHECKING

import msgspec

from tenfold.platform import outbox
from tenfold.platform.bus.connection import Bus
from tenfold.platform.db import Database, Tx
from tenfold.platform.ids import Ids
from tenfold.platform.jobs import rules, store
from tenfold.platform.jobs.errors import JobMissing, JobOver, JobTooLarge, TooManyJobs
from tenfold.platform.jobs.kinds import Job
from tenfold.platform.jobs.types import JobEnded, JobQueued, JobView, Priority, State, StoredJob
from tenfold.platform.settings import Settings

if TYPE_CHECKING:  # live updates stand on the bus, whose sweep is a schedule, and so they come to be after this
    from tenfold.platform.live.topics import Live

#: Bytes of a payload.
MOST_PAYLOAD = 256 * 1024
#: Broadcasts: a queue has something to do, a job is to end.
WAKE, CANCEL = "jobs.wake", "jobs.cancel"


class Jobs:
    """The jobs of the house. What they are is in the database; this holds nothing."""

    def __init__(self, db: Database, bus: Bus, live: "Live", ids: Ids, settings: Settings) -> None:
        self.db = db
        self.bus = bus
        self.live = live
        self.ids = ids
        self.settings = settings

    async def submit[P](
        self,
        tx: Tx,
        job: Job[P],
        payload: P,
        *,
        account_id: int | None,
        priority: Priority = Priority.NORMAL,
        delay: float = 0.0,
    ) -> int:
        """Have something done, if and when the transaction commits, not before `delay` seconds. The job's id.

        Until the transaction ends, others who submit to this queue for the same account wait: so submit late in it.
        `account_id` None is the house itself, which has no bound, and whose jobs nobody sees. Raises TooManyJobs,
        JobTooLarge.
        """
        data = msgspec.json.encode(payload)
        if len(data) > MOST_PAYLOAD:
            raise JobTooLarge(part="payload", size=len(data), limit=MOST_PAYLOAD)
        most = 0 if account_id is None else self.settings.jobs_per_account
        if account_id is not None:
            await store.lock_line(tx, job.queue, account_id)
        line = await store.find_line(tx, job.queue, priority, account_id or 0, most)
        if account_id is not None and line.own >= most:
            raise TooManyJobs(limit=most)
        turn = rules.next_turn(line.first, line.own_last)
        stored = await store.insert_job(
            tx, job.queue, self.ids.next(), job.name, account_id or 0, priority, turn, data, delay
        )
        # The event reaches workers whatever becomes of this process; the word after the commit is there sooner.
        await outbox.emit(tx, JobQueued(queue=job.queue))

        async def committed() -> None:
            self.tell(stored)
            await self.bus.send(f"_broadcast.{WAKE}", job.queue.encode())

        tx.after_commit(committed)
        return stored.id

    async def find(self, account_id: int, id: int) -> JobView:
        """A job, and when it will begin. Raises JobMissing."""
        async with self.db.read(fresh=True) as tx:
            job = await store.find_job(tx, account_id, id)
            if job is None:
                raise JobMissing
            if job.state != "queued":
                return JobView.of(job)
            standing = await store.find_standing(tx, job)
        starts_in = rules.wait(standing.ahead, standing.running, standing.seconds)
        return JobView.of(job, ahead=standing.ahead, starts_in=starts_in)

    async def list_jobs(
        self,
        account_id: int,
        *,
        state: State | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[JobView]:
        """Jobs of an account, newest first."""
        async with self.db.read(fresh=True) as tx:
            return [JobView.of(each) for each in await store.list_jobs(tx, account_id, state, kind, before, limit)]

    async def cancel(self, account_id: int, id: int) -> JobView:
        """End a job that waits, at once; ask one that runs to end, within a second. Cancelling again is nothing new.

        Raises JobMissing, JobOver.
        """
        async with self.db.read(fresh=True) as tx:
            found = await store.find_job(tx, account_id, id)
        # Told first: a transaction of the work may hold the row, and rolls back then.
        if found is not None and found.state == "running":
            await self._tell_to_end(id)
        async with self.db.transaction() as tx:
            job = await store.cancel_job(tx, account_id, id)
            if job is None:
                job = await store.find_job(tx, account_id, id)
                if job is None:
                    raise JobMissing
                if job.state != "cancelled":
                    raise JobOver
                return JobView.of(job)
            if job.state == "cancelled":
                await self.emit_end(tx, job)
        self.tell(job)
        if job.state == "running":
            await self._tell_to_end(id)
        return JobView.of(job)

    async def _tell_to_end(self, id: int) -> None:
        await self.bus.send(f"_broadcast.{CANCEL}", str(id).encode())

    @staticmethod
    async def emit_end(tx: Tx, job: StoredJob) -> None:
        """Tell other systems of the end of a job, when it commits."""
        ended = JobEnded(
            id=job.id, kind=job.kind, account_id=job.account_id or None, state=job.state, error_code=job.error_code
        )
        await outbox.emit(tx, ended)

    def tell(self, job: StoredJob) -> None:
        """Show those who watch a job how it is now."""
        if job.account_id:
            self.live.publish_latest(topic(job.id), JobView.of(job))


def topic(id: int) -> str:
    """The live topic of a job: a JobView at each change."""
    return f"jobs.{id}"
