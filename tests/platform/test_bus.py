"""Events: stored once, handled once, given up visibly, brought back."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tenfold.platform.bus import (
    Bus,
    Consumer,
    Event,
    EventTooLarge,
    consumer,
    count_dead_letters,
    forget,
    list_dead_letters,
    open_bus,
    replay,
    run_consumer,
)
from tenfold.platform.bus.events import MAX_EVENT_BYTES, encode
from tenfold.platform.bus.settling import deliver, settle
from tenfold.platform.db import Database, Tx
from tenfold.platform.engines import Nats
from tenfold.platform.errors import Unavailable
from tenfold.platform.settings import Secret, Settings
from tenfold.platform.testing import Engines


class Counted(Event, subject="tests.counted"):
    number: int


class Other(Event, subject="tests.other"):
    text: str = ""


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    bus = await open_bus(msgspec.structs.replace(settings, events_max_bytes=64 * 1024 * 1024))
    yield bus
    await bus.drop()
    await bus.close()


@pytest.fixture
async def tally(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.script("CREATE TABLE tally (number int)")


async def numbers(db: Database) -> list[int]:
    async with db.read(fresh=True) as tx:
        return list(await tx.value("SELECT coalesce(array_agg(number ORDER BY number), '{}') FROM tally"))


async def add(tx: Tx, events: Sequence[Counted]) -> None:
    await tx.copy("public.tally", ["number"], [(event.number,) for event in events])


def counting(**options: Any) -> Consumer[Counted]:
    return consumer(Counted, name="tests-count", **({"batch": 16} | options))(add)


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - it holds in a server, which sends no events of it
            await asyncio.sleep(0.01)


def test_an_event_needs_a_subject_of_its_system() -> None:
    with pytest.raises(TypeError, match="subject"):
        type("Nameless", (Event,), {})
    for subject in ("links", "Links.opened", "links.replay.x", "links opened", "links.>"):
        with pytest.raises(TypeError, match="subject"):
            type("Odd", (Event,), {}, subject=subject)  # type: ignore[call-overload]
    assert Counted.subject == "tests.counted"
    with pytest.raises(EventTooLarge):
        encode(Other(text="x" * MAX_EVENT_BYTES))


async def test_the_stream_takes_an_id_once(bus: Bus, db: Database, tally: None) -> None:
    assert await bus.publish(Counted(number=1), id="first") is True
    assert await bus.publish(Counted(number=1), id="first") is False
    events = [Counted(number=number) for number in range(2, 2500)]
    ids = [f"n{event.number}" for event in events]
    assert await bus.publish_many(events, ids=ids) == len(events)
    assert await bus.publish_many(events, ids=ids) == 0
    await settle(bus, db, [counting(batch=500)])
    assert await numbers(db) == list(range(1, 2500))


async def test_an_event_delivered_twice_is_handled_once(bus: Bus, db: Database, tally: None) -> None:
    count = counting()
    await deliver(bus, Counted(number=7), times=3)
    await settle(bus, db, [count])
    assert await numbers(db) == [7]
    assert (count.counts.processed, count.counts.duplicates) == (1, 2)


async def test_consumers_see_their_own_events_and_each_sees_all_of_them(bus: Bus, db: Database, tally: None) -> None:
    seen: list[tuple[str, object]] = []

    @consumer(Counted, name="tests-one-by-one")
    async def note(tx: Tx, event: Counted, state: str) -> None:
        seen.append((state, event))

    @consumer(Other, name="tests-others")
    async def note_other(tx: Tx, event: Other) -> None:
        seen.append(("other", event))

    await bus.publish_many([Counted(number=1), Other(text="x"), Counted(number=2)])
    await settle(bus, db, [counting(), note, note_other], "state")
    assert await numbers(db) == [1, 2]
    assert [each for each in seen if each[0] == "state"] == [("state", Counted(number=n)) for n in (1, 2)]
    assert [each for each in seen if each[0] == "other"] == [("other", Other(text="x"))]


async def test_processes_share_the_work_of_a_consumer(bus: Bus, db: Database, settings: Settings, tally: None) -> None:
    stop = asyncio.Event()
    second = await open_bus(settings)
    one, two = counting(max_wait=0.01), counting(max_wait=0.01)
    running = [
        asyncio.create_task(run_consumer(where, db, each, None, stop)) for where, each in ((bus, one), (second, two))
    ]

    async def both_have_worked() -> bool:
        await bus.publish_many([Counted(number=0) for _ in range(64)])
        return bool(one.counts.processed and two.counts.processed)

    await until(both_have_worked)
    stop.set()
    await asyncio.gather(*running)
    await second.close()
    await settle(bus, db, [one])
    async with db.read(fresh=True) as tx:
        inbox = await tx.value("SELECT count(*) FROM platform.inbox")
    assert len(await numbers(db)) == one.counts.processed + two.counts.processed == inbox


async def test_a_failure_rolls_back_and_comes_again(bus: Bus, db: Database, tally: None) -> None:
    attempts = 0

    @consumer(Counted, name="tests-stumbles", attempts=3, backoff=(0.01,))
    async def stumble(tx: Tx, event: Counted) -> None:
        nonlocal attempts
        attempts += 1
        await add(tx, [event])
        if attempts < 3:
            raise RuntimeError("not yet")

    await bus.publish(Counted(number=1))
    await settle(bus, db, [stumble])
    assert await numbers(db) == [1]
    assert (stumble.counts.failed, stumble.counts.redelivered, stumble.counts.dead) == (2, 2, 0)
    assert await count_dead_letters(bus) == {}


async def test_a_poisonous_event_dies_alone_and_can_be_replayed(bus: Bus, db: Database, tally: None) -> None:
    poisonous = {13}

    @consumer(Counted, name="tests-swallows", batch=32, attempts=2, backoff=(0,))
    async def swallow(tx: Tx, events: Sequence[Counted]) -> None:
        await add(tx, events)
        if poisonous & {event.number for event in events}:
            raise RuntimeError("spat out")

    bystander = counting()
    await bus.publish_many([Counted(number=number) for number in range(20)], ids=[f"n{n}" for n in range(20)])
    await settle(bus, db, [swallow])
    assert await numbers(db) == [number for number in range(20) if number != 13]
    assert await count_dead_letters(bus) == {"tests-swallows": 1}
    [letter] = await list_dead_letters(bus)
    assert (letter.event_id, letter.subject, letter.attempts) == ("n13", "tests.counted", 2)
    assert msgspec.json.decode(letter.data) == {"number": 13}
    assert "spat out" in letter.reason

    # It may die again, and still be brought back; a consumer that did nothing wrong never hears of it.
    assert await replay(bus, "tests-swallows") == 1
    await settle(bus, db, [swallow])
    assert await count_dead_letters(bus) == {"tests-swallows": 1}
    poisonous.clear()
    assert await replay(bus) == 1
    assert await replay(bus) == 0
    await settle(bus, db, [swallow])
    assert await numbers(db) == list(range(20))
    await settle(bus, db, [bystander])
    assert bystander.counts.processed + bystander.counts.duplicates == 20


async def test_an_event_that_no_process_survives_is_given_up(bus: Bus, db: Database, tally: None) -> None:
    count = counting(attempts=1, ack_wait=0.05)
    await bus.publish(Counted(number=1))

    @consumer(Counted, name="tests-count", attempts=1, ack_wait=0.05)
    async def hang(tx: Tx, event: Counted) -> None:
        await asyncio.Event().wait()

    for _ in range(2):
        stuck = asyncio.create_task(run_consumer(bus, db, hang, None, asyncio.Event()))

        async def delivered() -> bool:
            async with db.read(fresh=True) as tx:
                return bool(await tx.value("SELECT count(*) FROM pg_locks WHERE relation = 'platform.inbox'::regclass"))

        await until(delivered)
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
    await settle(bus, db, [count])
    assert count.counts.dead == 1
    assert "NeverFinished" in (await list_dead_letters(bus, "tests-count"))[0].reason


async def test_long_work_keeps_its_events(bus: Bus, db: Database, tally: None) -> None:
    """Several times longer than `ack_wait`, and nobody else gets them."""

    @consumer(Counted, name="tests-slow", batch=4, ack_wait=0.3)
    async def work(tx: Tx, events: Sequence[Counted]) -> None:
        await asyncio.sleep(1.0)
        await add(tx, events)

    await bus.publish_many([Counted(number=number) for number in range(8)])
    await settle(bus, db, [work])
    assert await numbers(db) == list(range(8))
    assert work.counts.redelivered == 0


async def test_a_clean_stop_finishes_the_batch_and_gives_the_rest_back(bus: Bus, db: Database, tally: None) -> None:
    stop, entered, leave = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @consumer(Counted, name="tests-stops", batch=4)
    async def work(tx: Tx, events: Sequence[Counted]) -> None:
        entered.set()
        await leave.wait()
        await add(tx, events)

    await bus.publish_many([Counted(number=number) for number in range(12)])
    running = asyncio.create_task(run_consumer(bus, db, work, None, stop))
    await entered.wait()
    stop.set()
    leave.set()
    await running
    assert await numbers(db) == [0, 1, 2, 3]
    await settle(bus, db, [work])  # would time out if what was fetched ahead stayed with the stopped run
    assert await numbers(db) == list(range(12))


async def test_an_outage_of_the_database_costs_no_attempt(
    bus: Bus, db: Database, tally: None, engines: Engines
) -> None:
    count = counting(attempts=1)
    stop = asyncio.Event()
    running = asyncio.create_task(run_consumer(bus, db, count, None, stop))
    await bus.publish(Counted(number=1))
    await until(lambda: _holds(bus, {"tests-count": 0}))
    await engines.postgres.stop()
    await bus.publish(Counted(number=2))
    await until(lambda: _holds(bus, {"tests-count": 1}))
    await engines.postgres.start()
    await until(lambda: _holds(bus, {"tests-count": 0}))
    stop.set()
    await running
    assert await numbers(db) == [1, 2]
    assert count.counts.failed == 0


async def test_a_handler_whose_means_are_away_is_asked_again(bus: Bus, db: Database, tally: None) -> None:
    calls = 0

    @consumer(Counted, name="tests-needs", batch=8, attempts=1)
    async def need(tx: Tx, events: Sequence[Counted]) -> None:
        nonlocal calls
        calls += 1
        await add(tx, events)
        if calls < 3:
            raise Unavailable(part="Valkey")

    await bus.publish_many([Counted(number=1), Counted(number=2)])
    await settle(bus, db, [need])
    assert await numbers(db) == [1, 2]
    assert (need.counts.failed, need.counts.dead) == (0, 0)


async def _holds(bus: Bus, backlog: dict[str, int]) -> bool:
    return await bus.backlog() == backlog


async def test_an_outage_of_nats_is_said_at_once_and_passes(settings: Settings, db: Database, tmp_path: Path) -> None:
    async with db.transaction() as tx:
        await tx.script("CREATE TABLE tally (number int)")
    nats = Nats(tmp_path, "a-password")
    await nats.start()
    # What was acknowledged just before the kill may not be on files yet: then it comes again, after `ack_wait`.
    # More room for events than any disk has: the stream gets what there is.
    bus = await open_bus(msgspec.structs.replace(settings, nats_url=Secret(nats.url), events_max_bytes=10**18))
    heard: list[bytes] = []
    reconnected, stop = asyncio.Event(), asyncio.Event()

    async def hear(data: bytes) -> None:
        heard.append(data)

    async def note() -> None:
        reconnected.set()

    try:
        await bus.on_broadcast("words", hear)
        bus.on_reconnect(note)
        await bus.publish(Counted(number=1))
        running = asyncio.create_task(run_consumer(bus, db, counting(ack_wait=1.0), None, stop))
        await until(lambda: _holds(bus, {"tests-count": 0}))
        os.kill(nats.pid, signal.SIGKILL)
        await until(lambda: _disconnected(bus))
        with pytest.raises(Unavailable):
            await bus.publish(Counted(number=2))
        with pytest.raises(Unavailable):
            await bus.broadcast("words", b"unheard")
        with pytest.raises(Unavailable):
            await bus.ping()
        await nats.start()
        await reconnected.wait()
        await bus.ping()
        await bus.broadcast("words", b"heard")
        await bus.publish(Counted(number=3))  # the stream was on files
        await until(lambda: _holds(bus, {"tests-count": 0}))
        stop.set()
        await running
        assert await numbers(db) == [1, 3]
        assert heard == [b"heard"]
    finally:
        await bus.close()
        await nats.stop()


async def _disconnected(bus: Bus) -> bool:
    return not bus.connected


async def test_nobody_at_the_address_is_unavailable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenfold.platform.bus.connection.CONNECT_TIMEOUT", 0.1)
    for url in (Secret("nats://127.0.0.1:1"), None):
        with pytest.raises(Unavailable):
            await open_bus(msgspec.structs.replace(settings, nats_url=url))


async def test_the_inbox_forgets_what_is_old(bus: Bus, db: Database, tally: None) -> None:
    await bus.publish_many([Counted(number=1), Counted(number=2)])
    await settle(bus, db, [counting()])
    assert await forget(db, older_than=60) == 0
    async with db.transaction() as tx:
        await tx.execute("UPDATE platform.inbox SET handled_at = now() - interval '2 minutes'")
    assert await forget(db, older_than=60) == 2


WORKER = """
import asyncio
from tenfold.platform.bus import Event, consumer, open_bus, run_consumer
from tenfold.platform.db import open_database
from tenfold.platform.settings import load

class Counted(Event, subject="tests.counted"):
    number: int

@consumer(Counted, name="tests-mortal", batch=40, ack_wait=0.5)
async def count(tx, events):
    await tx.copy("public.tally", ["number"], [(event.number,) for event in events])
    print("inside", flush=True)
    await asyncio.sleep(0.01)

async def main():
    settings = load({})
    await run_consumer(await open_bus(settings), await open_database(settings), count, None, asyncio.Event())

asyncio.run(main())
"""


async def test_kill_9_in_the_middle_of_a_batch_loses_none_and_doubles_none(
    bus: Bus, db: Database, settings: Settings, tally: None
) -> None:
    assert settings.database_url is not None
    assert settings.nats_url is not None
    environ = {
        **os.environ,
        "TENFOLD_DATABASE_URL": settings.database_url.reveal(),
        "TENFOLD_NATS_URL": settings.nats_url.reveal(),
        "TENFOLD_NAMESPACE": settings.namespace,
    }
    total = 2000
    await bus.publish_many([Counted(number=number) for number in range(total)])

    for deaths in (2, 5, 9, None):  # dies in its 2nd batch, then another one in its 5th ...
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, env=environ, stdout=asyncio.subprocess.PIPE
        )
        assert worker.stdout is not None
        if deaths is None:
            await until(lambda: _holds(bus, {"tests-mortal": 0}))
        else:
            for _ in range(deaths):
                assert await worker.stdout.readline() == b"inside\n"
        worker.kill()
        await worker.wait()
    assert await numbers(db) == list(range(total))
    assert await count_dead_letters(bus) == {}
