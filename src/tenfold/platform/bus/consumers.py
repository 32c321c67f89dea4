"""Consumers: functions that react to events, each event once, whatever dies in between."""

import asyncio
import inspect
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, overload

import msgspec
import structlog

from tenfold.platform.bus.connection import Bus
from tenfold.platform.bus.dead_letters import bury
from tenfold.platform.bus.events import REPLAY, Event, system_of
from tenfold.platform.bus.pull import Delivery, Pull, pulling
from tenfold.platform.db import Database, Tx
from tenfold.platform.errors import TenfoldError, Unavailable
from tenfold.platform.jobs.schedules import OUTAGES, pause, schedule
from tenfold.platform.settings import Settings
from tenfold.platform.telemetry import span

log = structlog.get_logger(__name__)

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")

type One[E: Event] = Callable[[Tx, E], Awaitable[None]] | Callable[[Tx, E, Any], Awaitable[None]]
type Many[E: Event] = Callable[[Tx, Sequence[E]], Awaitable[None]] | Callable[[Tx, Sequence[E], Any], Awaitable[None]]


class NeverFinished(TenfoldError):
    """The event was delivered {attempts} times, and no process has lived to finish it."""


@dataclass(slots=True)
class Counts:
    """What this process has consumed: plain numbers for telemetry."""

    #: Events whose transaction has committed.
    processed: int = 0
    #: Events that came although they had been handled, and were passed over.
    duplicates: int = 0
    #: Deliveries that were not the first of their event.
    redelivered: int = 0
    #: Attempts that failed.
    failed: int = 0
    #: Events given up.
    dead: int = 0
    #: Seconds from the storing of the oldest event of the last batch to the commit of its handling.
    lag: float = 0.0


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Consumer[E: Event]:
    """A handler of one kind of event. Made by `@consumer`, listed by a system in `consumers`."""

    name: str
    event: type[E]
    handler: Callable[..., Awaitable[None]]
    #: Whether the handler takes a sequence of events, and whether it takes the state.
    many: bool
    wants_state: bool
    batch: int
    max_wait: float
    ack_wait: float
    timeout: float
    attempts: int
    backoff: tuple[float, ...]
    counts: Counts = field(default_factory=Counts)

    async def __call__(self, tx: Tx, events: Sequence[E], state: Any) -> None:
        extra = (state,) if self.wants_state else ()
        if self.many:
            await self.handler(tx, events, *extra)
        else:
            for event in events:
                await self.handler(tx, event, *extra)


@overload
def consumer[E: Event](
    event: type[E],
    *,
    name: str,
    ack_wait: float = ...,
    timeout: float = ...,
    attempts: int = ...,
    backoff: Sequence[float] = ...,
) -> Callable[[One[E]], Consumer[E]]: ...


@overload
def consumer[E: Event](
    event: type[E],
    *,
    name: str,
    batch: int,
    max_wait: float = ...,
    ack_wait: float = ...,
    timeout: float = ...,
    attempts: int = ...,
    backoff: Sequence[float] = ...,
) -> Callable[[Many[E]], Consumer[E]]: ...


def consumer(
    event: type[Event],
    *,
    name: str,
    batch: int | None = None,
    max_wait: float = 0.1,
    ack_wait: float = 30.0,
    timeout: float = 300.0,
    attempts: int = 8,
    backoff: Sequence[float] = (1, 5, 15, 60, 300),
) -> Callable[[Any], Consumer[Any]]:
    """Declare `async def handler(tx, event)`, or with `batch` `async def handler(tx, events)`.

    A third parameter gets the state, which is what the system's `start` has yielded in this process. The handler works
    in `tx`: what it writes there commits together with the note that the event was handled, and so happens once. What
    it does elsewhere (Valkey, another service) may happen again after a crash.

    Up to `batch` events are handled together, in the order of the stream; the first waits up to `max_wait` seconds for
    others. A process that holds events without a sign of life for `ack_wait` seconds loses them to another one; a
    transaction may take `timeout` seconds. An event that fails comes back after `backoff` seconds (first failure,
    second ...; the last one repeats), and after `attempts` failures it goes to the dead letters. While one waits, those
    behind it go ahead: order holds only as long as nothing fails and one process consumes. A handler that raises
    Unavailable says that something it needs is away: it is called again with the same events until that is back.

    A consumer that is new begins with the oldest event in the stream. Its name is how the server and the inbox know it
    again: renaming it makes a new one.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"a consumer's name is like links-count-clicks, not {name!r}")

    def declare(handler: Callable[..., Awaitable[None]]) -> Consumer[Any]:
        return Consumer(
            name=name,
            event=event,
            handler=handler,
            many=batch is not None,
            wants_state=len(inspect.signature(handler).parameters) == 3,
            batch=batch or 1,
            max_wait=max_wait if batch else 0.0,
            ack_wait=ack_wait,
            timeout=timeout,
            attempts=attempts,
            backoff=tuple(backoff),
        )

    return declare


async def run_consumer(
    bus: Bus,
    db: Database,
    consumer: Consumer[Any],
    state: Any,
    stop: asyncio.Event,
    *,
    max_wait: float | None = None,
) -> None:
    """Consume until `stop` is set; the batch under way is finished, what was only fetched goes back.

    Handling, the writes of handling and the note in the inbox are one transaction, and the acknowledgement follows its
    commit. So a crash at any point leads to a redelivery, and a redelivery of something handled to nothing. While the
    database or the server is away it waits, without counting that against the events. Raises Unavailable when there is
    no connection to the server to begin with.
    """
    system = system_of(consumer.event.subject)
    subjects = consumer.event.subject, f"{system}.{REPLAY}.{consumer.name}"
    async with pulling(
        bus, system, consumer.name, subjects, batch=consumer.batch, ack_wait=consumer.ack_wait, stop=stop
    ) as pull:
        work = _Work(bus, db, consumer, state, stop, pull)
        linger = consumer.max_wait if max_wait is None else max_wait
        while deliveries := await pull.take(linger):
            await work.handle(deliveries)


class _Work:
    def __init__(
        self, bus: Bus, db: Database, consumer: Consumer[Any], state: Any, stop: asyncio.Event, pull: Pull
    ) -> None:
        self._bus = bus
        self._db = db
        self._consumer = consumer
        self._state = state
        self._stop = stop
        self._pull = pull
        self._decode = msgspec.json.Decoder(consumer.event).decode
        self._outages = 0  # in a row

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Handle new events together, and those that failed before apart from them."""
        again = [delivery for delivery in deliveries if delivery.attempt > 1]
        self._consumer.counts.redelivered += len(again)
        # Nothing that fails comes so often: it ends the process, or its time, before anybody can count.
        lost = [delivery for delivery in again if delivery.attempt > 2 * self._consumer.attempts]
        for delivery in lost:
            await self._give_up(delivery, NeverFinished(attempts=delivery.attempt - 1))
        await self._handle_or_halve([delivery for delivery in deliveries if delivery.attempt == 1])
        await self._handle_or_halve([delivery for delivery in again if delivery not in lost])

    async def _handle_or_halve(self, deliveries: Sequence[Delivery]) -> None:
        """Handle all in one transaction; when that fails each half, until what fails stands alone."""
        if not deliveries:
            return
        try:
            while not await self._commit(deliveries):
                if self._stop.is_set():
                    return  # still held, so they go back
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is the event's failure
            if len(deliveries) == 1:
                await self._failed(deliveries[0], error)
            else:
                middle = len(deliveries) // 2
                await self._handle_or_halve(deliveries[:middle])
                await self._handle_or_halve(deliveries[middle:])
        else:
            await self._pull.ack(deliveries)

    async def _commit(self, deliveries: Sequence[Delivery]) -> bool:
        """Handle them in one transaction. False when what that needs was away. Raises what the handler raises."""
        counts = self._consumer.counts
        try:
            parent = deliveries[0].message.headers
            with span(f"consume {self._consumer.name}", parent=parent):
                async with asyncio.timeout(self._consumer.timeout), self._db.transaction() as tx:
                    fresh = await _note(
                        tx, self._consumer.name, {delivery.event_id: delivery for delivery in deliveries}
                    )
                    if fresh:
                        events = [self._decode(delivery.message.data) for delivery in fresh]
                        await self._consumer(tx, events, self._state)
        except Exception as error:
            # Whose fault was it? If not the handler's word, the database itself knows best.
            if not isinstance(error, Unavailable) and await self._database_answers():
                raise
            await self._sit_out(error)
            return False
        self._outages = 0
        counts.processed += len(fresh)
        counts.duplicates += len(deliveries) - len(fresh)
        counts.lag = time.time() - min(delivery.stored_at for delivery in deliveries)
        return True

    async def _database_answers(self) -> bool:
        try:
            async with self._db.read(fresh=True) as tx:
                await tx.value("SELECT 1")
        except OUTAGES:
            return False
        return True

    async def _sit_out(self, error: Exception) -> None:
        self._outages += 1
        if self._outages == 1:
            log.warning("consumer_waits", consumer=self._consumer.name, error=str(error))
        await pause(self._stop, min(0.1 * 2**self._outages, 5.0))

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        consumer = self._consumer
        consumer.counts.failed += 1
        log.warning(
            "event_failed",
            consumer=consumer.name,
            event_id=delivery.event_id,
            attempt=delivery.attempt,
            exc_info=error,
        )
        if delivery.attempt < consumer.attempts:
            await self._pull.nak(delivery, self._delay(delivery))
        else:
            await self._give_up(delivery, error)

    async def _give_up(self, delivery: Delivery, error: Exception) -> None:
        try:
            await bury(self._bus, self._consumer.name, delivery, error)
        except Unavailable:
            await self._pull.nak(delivery, self._delay(delivery))
        else:
            self._consumer.counts.dead += 1
            log.error("event_dead", consumer=self._consumer.name, event_id=delivery.event_id, reason=repr(error)[:200])
            await self._pull.term(delivery)

    def _delay(self, delivery: Delivery) -> float:
        backoff = self._consumer.backoff
        return backoff[min(delivery.attempt, len(backoff)) - 1] if backoff else 0.0


async def _note(tx: Tx, name: str, deliveries: dict[str, Delivery]) -> list[Delivery]:
    """Note that a consumer handles these events, and answer those that were not noted before, in their order."""
    # Sorted, so that two processes that were sent the same events wait for each other and don't deadlock.
    sql = """WITH fresh AS (
                 INSERT INTO platform.inbox (event_id, consumer) SELECT id, $2 FROM unnest($1::text[]) AS id ORDER BY id
                 ON CONFLICT DO NOTHING RETURNING event_id)
             SELECT array_agg(event_id) FROM fresh"""
    fresh = set(cast("list[str] | None", await tx.value(sql, list(deliveries), name)) or ())
    return [delivery for event_id, delivery in deliveries.items() if event_id in fresh]


class _Sweeper(Protocol):
    """What the sweep needs of the runtime."""

    @property
    def db(self) -> Database: ...
    @property
    def settings(self) -> Settings: ...


#: How long after its stream has forgotten an event the inbox remembers it, in seconds. Until the stream forgets it, the
#: event may come again: to a consumer that lost its place, or after an operator reset it. What was waiting for an
#: acknowledgement then, or in an outbox through a long outage, may come a little later.
INBOX_MARGIN = 24 * 3600.0


@schedule(every=600, name="platform-sweep-inbox")
async def sweep_inbox(runtime: _Sweeper) -> None:
    """Forget in the inbox what can't come again."""
    await forget(runtime.db, older_than=runtime.settings.events_max_age + INBOX_MARGIN)


async def forget(db: Database, *, older_than: float) -> int:
    """Remove rows of the inbox that are older than so many seconds, in small transactions. How many."""
    sql = """DELETE FROM platform.inbox WHERE (event_id, consumer) IN (
                 SELECT event_id, consumer FROM platform.inbox
                 WHERE handled_at < now() - make_interval(secs => $1) ORDER BY handled_at LIMIT 5000)"""
    total = 0
    while True:
        async with db.transaction() as tx:
            removed = await tx.execute(sql, older_than)
        total += removed
        if removed < 5000:
            return total
