"""Working: a process takes jobs as long as it has room, keeps their leases, and says how they ended.

Truth and order are in the database; a word on the bus says that it is worth a look. Leases are renewed for all jobs of
the process by one statement a second, in the event loop, so a handler that blocks it for long loses its jobs.
"""

import asyncio
import os
import random
import secrets
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import structlog

from tenfold.platform import telemetry
from tenfold.platform.errors import Invalid, TenfoldError, Unavailable
from tenfold.platform.jobs import rules, store
from tenfold.platform.jobs.errors import JobKeptCrashing, JobLost, JobTimedOut
from tenfold.platform.jobs.jobs import CANCEL, WAKE, Jobs
from tenfold.platform.jobs.kinds import Job
from tenfold.platform.jobs.schedules import OUTAGES
from tenfold.platform.jobs.types import HeldJob, JobQueued, Priority, State
from tenfold.platform.jobs.work import Work
from tenfold.platform.telemetry import span

log = structlog.get_logger(__name__)

#: Seconds that a process may be silent before its jobs are others', and between its signs of life.
LEASE, BEAT = 6.0, 1.0
#: Seconds that a job which is to end may take for it.
GRACE = 10.0

type Ending = Literal["cancelled", "lost", "stopped"]


@dataclass(eq=False, slots=True)
class _Running:
    """A job in this process."""

    job: Job[Any]
    held: HeldJob
    weight: float
    #: Set by whoever has a reason to end it.
    ending: "asyncio.Future[Ending]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    work: Work[Any] | None = None

    def end(self, why: Ending) -> None:
        if not self.ending.done():
            self.ending.set_result(why)

    def beat(self) -> store.Beat:
        held = self.held
        if self.work is not None:
            return self.work.beat()
        return store.Beat(held.queue, held.id, held.attempt, held.done, held.total, held.note, None)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How an attempt ends: None leaves it to others."""

    state: State | None
    delay: float = 0.0
    failures: int = 0
    stalls: int = 0
    error: BaseException | None = None


async def run_jobs(jobs: Jobs, kinds: Sequence[tuple[Job[Any], Any]], stop: asyncio.Event) -> None:
    """Work on jobs of these kinds, each with its system's state, until `stop` is set.

    What is under way then is cancelled and goes on elsewhere from its checkpoint. While the database or the bus is
    away it waits; what runs meanwhile goes on.
    """
    if not kinds:
        return
    worker = _Worker(jobs, {job.name: (job, state) for job, state in kinds}, stop)
    async with worker.listening(), asyncio.TaskGroup() as group:
        worker.group = group
        beating = group.create_task(worker.keep_beating(), name="jobs beat")
        stopping = group.create_task(worker.wake_at_stop(), name="jobs stop")
        await worker.take_until_stopped()
        await worker.let_go()
        beating.cancel()
        stopping.cancel()


class _Worker:
    group: asyncio.TaskGroup

    def __init__(self, jobs: Jobs, kinds: Mapping[str, tuple[Job[Any], Any]], stop: asyncio.Event) -> None:
        self._jobs = jobs
        self._db = jobs.db
        self._kinds = kinds
        self._queues = sorted({job.queue for job, _ in kinds.values()})
        self._stop = stop
        self._wake = asyncio.Event()
        # By id and attempt: a job that was lost may come back before its old attempt has ended.
        self._running: dict[tuple[int, int], _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._most = float(jobs.settings.jobs_at_once)
        self._bounds = jobs.settings.jobs_of_kind
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._clock = asyncio.get_running_loop().time
        # Until when others get the time to show that they live, after we couldn't have seen it.
        self._patient_until = 0.0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear of jobs that wait, and of those that are to end."""
        bus = self._jobs.bus

        async def queued(message: Any) -> None:
            self._wake_for(msgspec.json.decode(message.data, type=JobQueued).queue)

        async def woken(payload: bytes) -> None:
            self._wake_for(payload.decode())

        async def cancelled(payload: bytes) -> None:
            for each in self._running.values():
                if each.held.id == int(payload):
                    each.end("cancelled")

        async with AsyncExitStack() as stack:
            stack.push_async_callback(await bus.listen(bus.subject(JobQueued.subject), queued))
            stack.push_async_callback(await bus.on_broadcast(WAKE, woken))
            stack.push_async_callback(await bus.on_broadcast(CANCEL, cancelled))
            yield

    def _wake_for(self, queue: str) -> None:
        if queue in self._queues:
            self._wake.set()

    async def wake_at_stop(self) -> None:
        await self._stop.wait()
        self._wake.set()

    # Taking

    async def take_until_stopped(self) -> None:
        """Take what there is room for, at each word and each beat."""
        while not self._stop.is_set():
            self._wake.clear()
            try:
                await self._take()
            except OUTAGES as error:
                log.debug("jobs_wait", error=str(error))
            await self._wake.wait()

    async def _take(self) -> None:
        found = True
        while found:
            found = False
            for queue in tuple(self._queues):
                room = self._most - sum(each.weight for each in self._running.values())
                if room <= 0 or self._stop.is_set():
                    return
                fits = await self._take_one(queue, room)
                if fits is None:
                    return
                found |= fits
            # The next round begins with another queue, so that none is always last to get what room is left.
            self._queues.append(self._queues.pop(0))

    async def _take_one(self, queue: str, room: float) -> bool | None:
        """Begin a job of a queue. None: the next one there needs more room, which is kept for it."""
        kinds = [name for name, (job, _) in self._kinds.items() if job.queue == queue and self._may_run(name)]
        if not kinds:
            return False
        async with self._db.read(fresh=True) as tx:
            heads = await store.list_heads(tx, queue, kinds, len(Priority))
        if not heads:
            return False
        fitting: list[int] = []
        for head in rules.in_order(heads, self._jobs.settings.jobs_aging):
            if self._weight(head.kind, head.deaths) > room:
                break
            fitting.append(head.id)
        if not fitting:
            return None
        async with self._db.read(fresh=True) as tx:  # a single statement, committed as such
            held = await store.lease_first(tx, queue, fitting, self._holder, LEASE)
        if held is None:
            return False
        job, state = self._kinds[held.kind]
        running = _Running(job, held, self._weight(held.kind, held.deaths))
        self._running[held.id, held.attempt] = running
        task = self.group.create_task(self._perform(running, state), name=f"job {held.kind} {held.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def _may_run(self, kind: str) -> bool:
        most = self._bounds.get(kind)
        return most is None or sum(each.job.name == kind for each in self._running.values()) < most

    def _weight(self, kind: str, deaths: int) -> float:
        return self._most if deaths >= rules.SUSPECT else min(self._kinds[kind][0].weight, self._most)

    # Working

    async def _perform(self, running: _Running, state: Any) -> None:
        job, held = running.job, running.held
        began = self._clock()
        self._jobs.tell(held)
        if held.attempt == 1 and held.started_at is not None:
            waited = (held.started_at - held.submitted_at).total_seconds()
            telemetry.observe("job_wait", waited, kind=job.name)
        try:
            with span(f"job {job.name}"):
                outcome = await self._attempt(running, state)
            await self._settle(running, outcome)
        finally:
            self._running.pop((held.id, held.attempt), None)
            telemetry.observe("job", self._clock() - began, kind=job.name)
            self._wake.set()

    async def _attempt(self, running: _Running, state: Any) -> _Outcome:
        job, held = running.job, running.held
        try:
            payload = msgspec.json.decode(held.payload, type=job.payload)
            resumed = None if held.checkpoint is None else msgspec.json.decode(held.checkpoint, type=job.checkpoint)
        except msgspec.ValidationError as invalid:  # of an older version of the code
            return _Outcome("failed", failures=1, error=Invalid.of(invalid))
        work = running.work = Work(self._db, held, payload, resumed, lambda _: self._tell(running), LEASE)
        handler = asyncio.ensure_future(job.handler(state, work))
        try:
            await asyncio.wait((handler, running.ending), timeout=job.timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = handler.done()
            work.cancelled = not ended
            handler.cancel()
        why: Ending | None = None if ended or not running.ending.done() else running.ending.result()
        await asyncio.wait((handler,), timeout=GRACE)
        if not handler.done():
            log.error("job_wont_end", kind=job.name, job=held.id)
        error: BaseException | None = None
        if handler.done() and not handler.cancelled():
            error = handler.exception()
            if error is None:
                return _Outcome("done")
        if why == "lost" or isinstance(error, JobLost):
            return _Outcome(None)
        if why == "cancelled":
            return _Outcome("cancelled")
        if why == "stopped":
            return _Outcome("queued")
        if not ended:
            error = JobTimedOut(seconds=f"{job.timeout:g}")
        return self._failed(running, error or TenfoldError())

    def _failed(self, running: _Running, error: BaseException) -> _Outcome:
        job, held = running.job, running.held
        log.warning("job_failed", kind=job.name, job=held.id, attempt=held.attempt, exc_info=error)
        luck = random.random()
        if isinstance(error, Unavailable):
            delay = rules.backoff(held.stalls + 1, job.backoff, luck, rules.MOST_STALL)
            return _Outcome("queued", delay=delay, stalls=1, error=error)
        if rules.is_final(error) or held.failures + 1 >= job.attempts:
            return _Outcome("failed", failures=1, error=error)
        return _Outcome("queued", delay=rules.backoff(held.failures + 1, job.backoff, luck), failures=1, error=error)

    async def _settle(self, running: _Running, outcome: _Outcome) -> None:
        """Write down how it ended, as soon as the database is there for it."""
        counts, held = running.job.ended, running.held
        if outcome.state is None:
            counts.lost += 1
            log.warning("job_lost", kind=held.kind, job=held.id, attempt=held.attempt)
            return
        told = outcome.error if isinstance(outcome.error, TenfoldError) else TenfoldError()
        code, detail = (told.code, told.detail) if outcome.error is not None else (None, None)
        if told.fields:
            detail = f"{detail} {'; '.join(f'{name} {text}' for name, text in told.fields.items())}"
        tries = 0
        while True:
            try:
                async with self._db.transaction() as tx:
                    await store.limit_silence(tx)
                    ended = await store.end_attempt(
                        tx,
                        running.beat(),
                        outcome.state,
                        delay=outcome.delay,
                        failures=outcome.failures,
                        stalls=outcome.stalls,
                        code=code,
                        error=detail,
                    )
                    if ended is not None and ended.ended_at is not None:
                        await self._jobs.emit_end(tx, ended)
                break
            except OUTAGES:
                tries += 1
                if self._stop.is_set() and tries > 3:
                    return  # the lease ends by itself
                await asyncio.sleep(min(0.1 * 2**tries, 2.0))
        if ended is None:
            counts.lost += 1
            return
        self._jobs.tell(ended)
        counts.done += ended.state == "done"
        counts.cancelled += ended.state == "cancelled"
        counts.failed += ended.state == "failed"
        counts.retried += ended.state == "queued" and outcome.error is not None

    def _tell(self, running: _Running) -> None:
        beat, held = running.beat(), running.held
        if self._running.get((held.id, held.attempt)) is not running:
            return  # its end has been told
        shown = msgspec.structs.replace(
            held, done=beat.done, total=beat.total, note=beat.note, left_seconds=beat.left_seconds, noted_at=None
        )
        shown.cancelling = running.ending.done()
        self._jobs.tell(shown)

    # Signs of life

    async def keep_beating(self) -> None:
        """Renew our leases, take jobs from the dead, and look for work that nobody told of: once a second."""
        while True:
            await asyncio.sleep(BEAT)
            try:
                await self._renew()
                if self._clock() >= self._patient_until:
                    await self._reclaim()
            except OUTAGES:
                self._patient_until = self._clock() + LEASE
            self._wake.set()

    async def _renew(self) -> None:
        held = list(self._running.values())
        if not held:
            return
        async with self._db.read(fresh=True) as tx:  # were we stopped before a commit, nobody could take what is ours
            alive = await store.renew_leases(tx, [each.beat() for each in held], LEASE)
        cancelling = {each.id: each.cancelling for each in alive}
        for each in held:
            if each.held.id not in cancelling:
                each.end("lost")
            elif cancelling[each.held.id]:
                each.end("cancelled")
            if each.work is not None:
                self._tell(each)

    async def _reclaim(self) -> None:
        crashed = JobKeptCrashing(times=rules.MOST_DEATHS)
        async with self._db.transaction() as tx:
            await store.limit_silence(tx)
            lapsed = await store.reclaim_lapsed(tx, self._queues, rules.MOST_DEATHS, crashed.code, crashed.detail)
            for job in lapsed:
                if job.ended_at is not None:
                    await self._jobs.emit_end(tx, job)
        for job in lapsed:
            log.warning("job_orphaned", kind=job.kind, job=job.id, deaths=job.deaths, state=job.state)
            if job.kind in self._kinds:
                self._kinds[job.kind][0].ended.died += 1
            self._jobs.tell(job)

    async def let_go(self) -> None:
        """Stop what runs, so that others go on with it."""
        for running in self._running.values():
            running.end("stopped")
        if self._tasks:
            await asyncio.wait(set(self._tasks))
