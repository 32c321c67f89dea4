"""The outbox: what commits is published, what rolls back is not, and dying in between changes neither."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from tenfold.platform import outbox
from tenfold.platform.bus import Bus, Event, EventTooLarge, consumer, open_bus
from tenfold.platform.bus.events import MAX_EVENT_BYTES
from tenfold.platform.bus.messages import Message
from tenfold.platform.bus.settling import settle
from tenfold.platform.db import Database, Tx
from tenfold.platform.errors import Unavailable
from tenfold.platform.outbox import Relayed, emit, emit_many, relay_once, run_relay
from tenfold.platform.settings import Settings


class Happened(Event, subject="tests.happened"):
    number: int
    text: str = ""


class Followed(Event, subject="tests.followed"):
    number: int


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    bus = await open_bus(msgspec.structs.replace(settings, events_max_bytes=64 * 1024 * 1024))
    yield bus
    await bus.drop()
    await bus.close()


async def published(bus: Bus) -> list[int]:
    """The numbers in the stream, in its order."""
    await bus.ensure_stream("tests")
    count = (await bus.sequences("tests"))[1]
    stored = [await bus._js.get_msg(bus.stream("tests"), seq=place) for place in range(1, count + 1)]
    return [msgspec.json.decode(each.data or b"", type=Happened).number for each in stored]


async def test_only_what_commits_is_published_and_in_its_order(bus: Bus, db: Database) -> None:
    async def roll_back() -> None:
        async with db.transaction() as tx:
            await emit(tx, Happened(number=0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await roll_back()
    async with db.transaction() as tx:
        await emit(tx, Happened(number=1))
        assert await relay_once(bus, db, Relayed()) == 0  # not committed yet
        await emit_many(tx, [Happened(number=2), Happened(number=3)])
    async with db.transaction() as tx:
        await emit(tx, Happened(number=4))
        with pytest.raises(EventTooLarge):
            await emit(tx, Happened(number=5, text="x" * MAX_EVENT_BYTES))
    relayed = Relayed()
    assert await relay_once(bus, db, relayed) == 4
    assert await outbox.waiting(db) == 0
    assert await published(bus) == [1, 2, 3, 4]
    assert relayed == Relayed(published=4)


async def test_a_relay_that_dies_before_it_can_remove_doubles_nothing(bus: Bus, db: Database) -> None:
    async with db.transaction() as tx:
        await emit_many(tx, [Happened(number=1), Happened(number=2)])
    async with db.transaction() as tx:  # what the relay that died has published
        [event_id, data] = await tx.value(
            "SELECT ARRAY[event_id, convert_from(data, 'UTF8')] FROM platform.outbox LIMIT 1"
        )
    await bus.publish_messages([Message("tests.happened", data.encode(), event_id)])
    relayed = Relayed()
    await relay_once(bus, db, relayed)
    assert relayed == Relayed(published=2, duplicates=1)
    assert await published(bus) == [1, 2]


async def test_one_relay_works_at_a_time(bus: Bus, db: Database) -> None:
    async with db.transaction() as tx:
        await emit(tx, Happened(number=1))
    async with db.transaction() as tx:
        await tx.value("SELECT pg_advisory_xact_lock($1)", outbox._LOCK)
        assert await relay_once(bus, db, Relayed()) == 0
    assert await relay_once(bus, db, Relayed()) == 1


async def test_an_outage_leaves_everything_in_the_outbox(bus: Bus, db: Database, settings: Settings) -> None:
    async with db.transaction() as tx:
        await emit(tx, Happened(number=1))
    closed = await open_bus(settings)
    await closed.close()
    with pytest.raises(Unavailable):
        await relay_once(closed, db, Relayed())
    assert await outbox.waiting(db) == 1

    stop = asyncio.Event()
    relays = [asyncio.create_task(run_relay(which, db, stop)) for which in (closed, bus)]
    async with asyncio.timeout(20):
        while await outbox.waiting(db):  # noqa: ASYNC110 - the database sends no events of it
            await asyncio.sleep(0.01)
    stop.set()
    await asyncio.gather(*relays)
    assert await published(bus) == [1]


async def test_settling_follows_events_that_lead_to_events(bus: Bus, db: Database) -> None:
    seen: list[int] = []

    @consumer(Happened, name="tests-leads", batch=8)
    async def lead(tx: Tx, events: list[Happened]) -> None:
        await emit_many(tx, [Followed(number=event.number * 10) for event in events])

    @consumer(Followed, name="tests-follows")
    async def follow(tx: Tx, event: Followed) -> None:
        seen.append(event.number)
        if event.number < 1000:
            await emit(tx, Happened(number=event.number))

    async with db.transaction() as tx:
        await emit_many(tx, [Happened(number=1), Happened(number=2)])
    await settle(bus, db, [lead, follow])
    assert sorted(seen) == [10, 20, 100, 200, 1000, 2000]
