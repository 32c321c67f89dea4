"""Live updates: every reader gets everything in order, or is told that it did not."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from tenfold.platform.bus import Bus, open_bus
from tenfold.platform.engines import Nats
from tenfold.platform.live import (
    BadTopic,
    Live,
    LiveMessage,
    MessageTooLarge,
    Subscription,
    TooManyReaders,
    frames,
    open_live,
    sse,
)
from tenfold.platform.live.topics import HISTORY, MAX_MESSAGE_BYTES
from tenfold.platform.settings import Secret, Settings


class Click(msgspec.Struct):
    number: int


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    bus = await open_bus(settings)
    yield bus
    await bus.drop()
    await bus.close()


@pytest.fixture
async def live(bus: Bus) -> AsyncIterator[Live]:
    live = await open_live(bus)
    yield live
    await live.close()


async def reading(live: Live, topic: str, after: int | None = None) -> Subscription:
    subscription = live.subscribe(topic, after)
    await subscription.start()
    return subscription


async def read(subscription: Subscription, count: int) -> list[LiveMessage]:
    async with asyncio.timeout(20):
        return [await anext(subscription) for _ in range(count)]


def numbers(messages: list[LiveMessage]) -> list[int]:
    return [msgspec.json.decode(message.data, type=Click).number for message in messages]


async def test_readers_at_another_process_get_their_topic_in_order(live: Live, settings: Settings) -> None:
    other_bus = await open_bus(settings)
    other = await open_live(other_bus)
    here, there, elsewhere = (
        await reading(live, "links.a"),
        await reading(other, "links.a"),
        await reading(other, "links.b"),
    )
    await live.publish_many(("links.a", Click(number)) for number in range(100))
    await other.publish("links.b", b'{"number":-1}')
    for subscription in (here, there):
        messages = await read(subscription, 100)
        assert numbers(messages) == list(range(100))
        assert [message.id for message in messages] == sorted(message.id for message in messages)
    assert numbers(await read(elsewhere, 1)) == [-1]
    assert (live.readers, other.readers) == (1, 2)
    await other.close()
    assert await there.take() is None
    with pytest.raises(StopAsyncIteration):
        await anext(elsewhere)
    await other_bus.close()


async def test_a_reader_that_comes_back_gets_what_it_missed_and_nothing_twice(live: Live) -> None:
    first = await reading(live, "links.a")
    await live.publish_many(("links.a", Click(number)) for number in range(10))
    seen = await read(first, 4)
    await first.aclose()
    back = live.subscribe("links.a", after=seen[-1].id)
    await live.publish("links.a", Click(10))
    assert numbers(await read(back, 7)) == list(range(4, 11))


async def test_nothing_falls_between_a_state_and_its_updates(live: Live) -> None:
    witness = await reading(live, "links.a")
    await live.publish("links.a", Click(1))
    await read(witness, 1)
    position = await live.position()
    await live.publish("links.a", Click(2))
    assert numbers(await read(live.subscribe("links.a", after=position), 1)) == [2]


@pytest.mark.parametrize("after", [-5, 0, 1, 10**15, 10**30])
async def test_an_id_from_nowhere_means_resync(live: Live, after: int) -> None:
    reader = await reading(live, "links.a", after)
    [message] = await read(reader, 1)
    assert message.resync
    await live.publish("links.a", Click(2))
    [fresh] = await read(reader, 1)
    assert numbers([fresh]) == [2]
    assert fresh.id > message.id


async def test_who_was_away_too_long_is_told_to_resync(live: Live) -> None:
    witness = await reading(live, "links.a")
    await live.publish("links.a", Click(0))
    [seen] = await read(witness, 1)
    for number in range(1, HISTORY + 2):
        await live.publish("links.a", Click(number))
        await read(witness, 1)
    [message] = await read(await reading(live, "links.a", seen.id), 1)
    assert message.resync


async def test_a_slow_reader_is_told_to_resync_and_holds_up_nobody(bus: Bus) -> None:
    live = Live(bus, queue=10)
    await live.open()
    slow, quick = await reading(live, "links.a"), await reading(live, "links.a")
    for number in range(25):
        await live.publish("links.a", Click(number))
        assert numbers(await read(quick, 1)) == [number]
    waiting = await slow.take()
    assert waiting is not None
    # At its 11th and its 22nd message it had ten waiting already.
    assert [message.resync for message in waiting] == [True, False, False, False, False]
    assert numbers(waiting[1:]) == [21, 22, 23, 24]
    assert live.resyncs == 2
    await live.close()


async def test_a_state_that_changes_all_the_time_is_sent_now_and_then(live: Live) -> None:
    reader = await reading(live, "links.total")
    for number in range(10_000):
        live.publish_latest("links.total", Click(number))
    assert numbers(await read(reader, 1)) == [9_999]
    live.publish_latest("links.total", Click(10_000))
    assert numbers(await read(reader, 1)) == [10_000]
    assert live.published == 2


async def test_everything_a_stranger_can_ask_for_is_bounded(bus: Bus) -> None:
    live = Live(bus, topic_readers=2, readers=3)
    await live.open()
    for topic in ("", "a b", "a.>", "*", "a..b", "a\r\nPUB x 1", "x" * 200, "a." * 20 + "a"):
        with pytest.raises(BadTopic):
            live.subscribe(topic)
    with pytest.raises(MessageTooLarge):
        await live.publish("links.a", b"x" * (MAX_MESSAGE_BYTES + 1))
    readers = [await reading(live, "links.a"), await reading(live, "links.a")]
    with pytest.raises(TooManyReaders):
        live.subscribe("links.a")
    readers.append(await reading(live, "links.b"))
    with pytest.raises(TooManyReaders):
        live.subscribe("links.c")
    for reader in readers:
        await reader.aclose()
        await reader.aclose()
    assert live.readers == 0
    assert live._topics == {}
    await live.close()


async def test_server_sent_events(live: Live) -> None:
    async with aclosing(sse(live.subscribe("links.a", after=1), heartbeat=0.01)) as stream:
        assert await anext(stream) == b"retry: 2000\n: live\n\n"
        kind, place, data, *_ = (await anext(stream)).split(b"\n")
        assert (kind, data) == (b"event: resync", b"data: {}")
        assert place.startswith(b"id: ")
        assert await anext(stream) == b": still here\n\n"
        await live.publish("links.a", b'{\n"number":1}')
        async with asyncio.timeout(20):
            while (chunk := await anext(stream)).startswith(b":"):
                pass
        assert chunk.split(b"\n")[1:] == [b"data: {", b'data: "number":1}', b"", b""]
    assert live.readers == 0


async def test_frames_of_a_websocket(live: Live) -> None:
    async with aclosing(frames(live.subscribe("links.a", after=1), heartbeat=0.01)) as stream:
        assert msgspec.json.decode(await anext(stream))["resync"] is True
        assert await anext(stream) == "{}"
        await live.publish("links.a", Click(1))
        async with asyncio.timeout(20):
            while (frame := await anext(stream)) == "{}":
                pass
        assert msgspec.json.decode(frame)["data"] == {"number": 1}
    assert live.readers == 0


async def test_readers_outlive_the_server_and_learn_what_they_missed(settings: Settings, tmp_path: Path) -> None:
    nats = Nats(tmp_path, "a-password")
    await nats.start()
    here, there = [await open_bus(msgspec.structs.replace(settings, nats_url=Secret(nats.url))) for _ in range(2)]
    live, other = await open_live(here), await open_live(there)
    try:
        reader = await reading(live, "links.a")
        await other.publish("links.a", Click(1))
        [before] = await read(reader, 1)

        # A cut of the line only: the stream has everything.
        await here.client._transport._io_writer.drain()
        here.client._transport.close()
        async with asyncio.timeout(20):
            while here.client.stats["reconnects"] == 0:
                await other.publish("links.a", Click(2))
                await asyncio.sleep(0.01)
        await other.publish("links.a", Click(3))
        seen = [before]
        async with asyncio.timeout(20):
            while numbers(seen[-1:]) != [3]:
                seen += await read(reader, 1)
        assert not any(message.resync for message in seen)
        assert len({message.id for message in seen}) == len(seen)
        assert other.published == len(seen)

        # The server dies, and the stream in its memory with it.
        os.kill(nats.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            while here.connected:  # noqa: ASYNC110 - the client sends no events of it
                await asyncio.sleep(0.01)
        await live.publish("links.a", Click(4))
        assert live.dropped == 1
        await nats.start()
        [message] = await read(reader, 1)
        assert message.resync
        await live.publish("links.a", Click(5))
        [after] = await read(reader, 1)
        assert numbers([after]) == [5]
        assert after.id > before.id
    finally:
        await live.close()
        await other.close()
        await here.close()
        await there.close()
        await nats.stop()
