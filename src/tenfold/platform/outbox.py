"""The outbox: events written in the transaction that they tell of, and published once it has committed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import structlog
from nats.nuid import NUID

from tenfold.platform.bus.connection import Bus
from tenfold.platform.bus.events import Event, encode
from tenfold.platform.bus.messages import Message
from tenfold.platform.db import Database, Tx
from tenfold.platform.jobs.schedules import OUTAGES, pause

log = structlog.get_logger(__name__)

#: Events published in one go, and seconds between looks when there was nothing.
BATCH = 500
LOOK = 0.1

# The lock of the one relay that works at a time in a database; any number.
_LOCK = 0x7E4F02B
_ids = NUID()


@dataclass(slots=True)
class Relayed:
    """What a relay has done: plain numbers for telemetry."""

    published: int = 0
    #: Of those, events that the stream had already: their relay died before it could remove them.
    duplicates: int = 0
    refused: int = 0


async def emit(tx: Tx, event: Event) -> None:
    """Publish an event if and when the transaction commits. One statement. Raises EventTooLarge."""
    await emit_many(tx, [event])


async def emit_many(tx: Tx, events: Sequence[Event]) -> None:
    """Publish events if and when the transaction commits. One statement for all. Raises EventTooLarge.

    They reach the stream in this order. Events of transactions that run one after the other do so too; between
    transactions that overlap there is no order.
    """
    # No NOTIFY: it would have all commits of the server queue behind one lock. Relays look every 100 ms instead.
    sql = """INSERT INTO platform.outbox (event_id, subject, data)
             SELECT event_id, subject, data
             FROM unnest($1::text[], $2::text[], $3::bytea[]) WITH ORDINALITY AS t (event_id, subject, data, place)
             ORDER BY place"""
    ids = [_ids.next().decode() for _ in events]
    await tx.execute(sql, ids, [event.subject for event in events], [encode(event) for event in events])


class _Row(msgspec.Struct):
    id: int
    event_id: str
    subject: str
    data: bytes


async def relay_once(bus: Bus, db: Database, relayed: Relayed) -> int:
    """Publish the oldest events and remove them from the outbox. How many; 0 too when another relay is at work.

    One relay works at a time, for the sake of order, and because it is fast enough: what limits it is the same disk
    that limits the commits which fill the outbox. One that dies between publishing and removing leaves events to be
    published again, under the same ids: their stream refuses them, and after its duplicate window the inbox does.
    """
    async with db.transaction() as tx:
        if not await tx.value("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
            return 0
        sql = "SELECT id, event_id, subject, data FROM platform.outbox ORDER BY id LIMIT $1"
        rows = await tx.rows(_Row, sql, BATCH)
        if not rows:
            return 0
        acks = await bus.publish_messages([Message(row.subject, row.data, row.event_id) for row in rows])
        refusals = {ack.error.description for ack in acks if ack.error is not None}
        if refusals:
            relayed.refused += sum(ack.error is not None for ack in acks)
            log.warning("outbox_refused", reasons=sorted(refusals))
        stored = [row.id for row, ack in zip(rows, acks, strict=True) if ack.error is None]
        await tx.execute("DELETE FROM platform.outbox WHERE id = ANY($1::bigint[])", stored)
    relayed.published += len(stored)
    relayed.duplicates += sum(ack.duplicate for ack in acks)
    return len(stored)


async def run_relay(bus: Bus, db: Database, stop: asyncio.Event, relayed: Relayed | None = None) -> None:
    """Relay until `stop` is set. Runs in every worker process; waits while the database or the bus is away."""
    relayed, outages = relayed or Relayed(), 0
    while not stop.is_set():
        try:
            busy = await relay_once(bus, db, relayed) > 0
            outages = 0
        except OUTAGES as error:
            busy, outages = False, outages + 1
            if outages == 1:
                log.warning("outbox_waits", error=str(error))
        if not busy:
            await pause(stop, min(LOOK * 2**outages, 5.0))


async def waiting(db: Database) -> int:
    """How many events wait in the outbox."""
    async with db.read(fresh=True) as tx:
        return int(await tx.value("SELECT count(*) FROM platform.outbox"))
