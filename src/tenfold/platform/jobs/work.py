"""What a job's handler is given: its payload, where it left off, and how to say how far it is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from tenfold.platform.db import Database, Tx
from tenfold.platform.jobs import rules, store
from tenfold.platform.jobs.confined import confined
from tenfold.platform.jobs.errors import JobLost, JobTooLarge
from tenfold.platform.jobs.types import HeldJob

#: Bytes of a checkpoint.
MOST_CHECKPOINT = 1024 * 1024
#: Seconds between two signs of progress to those who watch.
TELL = 0.25


class Work[P]:
    """One attempt of a job.

    Another process takes the job over when this one seems dead. What this one writes then through `checkpoint` and
    `transaction` is refused (JobLost), however late it wakes up; what it does elsewhere, nobody can take back.
    """

    def __init__(
        self, db: Database, held: HeldJob, payload: P, resumed: Any, tell: "Callable[[Work[P]], None]", lease: float
    ) -> None:
        self.id = held.id
        #: None is the house itself.
        self.account_id = held.account_id or None
        self.payload = payload
        #: The last checkpoint of the attempts before this one; None at first.
        self.resumed = resumed
        #: Counts from 1.
        self.attempt = held.attempt
        #: Whether it is to end: somebody cancelled it, or this process stops. A CancelledError comes with it.
        self.cancelled = False
        self._db = db
        self._queue = held.queue
        self._done, self._total, self._note = held.done, held.total, held.note
        self._left: float | None = None
        self._samples: list[tuple[float, float]] = []
        self._tell = tell
        self._lease = lease
        self._told = 0.0

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how much is done, of how much, in any unit. Costs next to nothing, however often."""
        self._done, self._total, self._note = float(done), None if total is None else float(total), note[:500]
        now = asyncio.get_running_loop().time()
        if now - self._told >= TELL:
            self._told = now
            self._samples = [*rules.recent(self._samples, now), (now, self._done)]
            self._left = rules.left(self._samples, self._total)
            self._tell(self)

    async def checkpoint(self, value: Any, tx: Tx | None = None) -> None:
        """Keep a value (a struct, or anything of JSON) for the next attempt, if there is to be one.

        With `tx`, if and when that commits; one that may outlast a lease should be `transaction`. Raises JobLost,
        JobTooLarge.
        """
        data = msgspec.json.encode(value)
        if len(data) > MOST_CHECKPOINT:
            raise JobTooLarge(part="checkpoint", size=len(data), limit=MOST_CHECKPOINT)
        if tx is None:
            async with self._db.read(fresh=True) as own:  # a single statement, committed as such
                await self._save(own, data)
        else:
            await store.limit_silence(tx)
            await self._save(tx, data)

    async def _save(self, tx: Tx, data: bytes) -> None:
        if not await store.save_checkpoint(tx, self._queue, self.id, self.attempt, data):
            raise JobLost(id=self.id)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A transaction that commits only while the job is still this attempt's.

        With a checkpoint at its end, what it does happens exactly once. From the checkpoint on it may be silent for ten
        seconds at most. Raises JobLost at its end, and then nothing has happened.
        """
        async with self._db.transaction() as tx:
            yield tx
            await store.limit_silence(tx)
            # At the end, so that nobody can take the job between this and the commit.
            if not await store.hold_attempt(tx, self._queue, self.id, self.attempt, self._lease):
                raise JobLost(id=self.id)

    async def run(self, function: Callable[..., Any], *args: Any, seconds: float = 60.0, memory: int = 1024**3) -> Any:
        """Call a function of a module in a process of its own, with limits; values that msgspec knows go in and out.

        For work that would hold up the event loop, and for files that may be hostile. Raises ConfinedFailed.
        """
        return await confined(function, args, seconds=seconds, memory=memory)

    def beat(self) -> store.Beat:
        """How far it is, to be written down."""
        return store.Beat(self._queue, self.id, self.attempt, self._done, self._total, self._note, self._left)
