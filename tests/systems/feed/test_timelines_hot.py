"""Home timelines in a real Valkey: what is pushed, filled, cut back, and forgotten."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tenfold.platform.engines import Valkey
from tenfold.platform.errors import Unavailable
from tenfold.platform.hot import Hot, open_hot
from tenfold.platform.settings import Secret, Settings
from tenfold.systems.feed.hot.timelines import CALL, TAIL, Timelines

LENGTH = 40


@pytest.fixture
async def hot(settings: Settings) -> AsyncIterator[Hot]:
    hot = await open_hot(settings)
    yield hot
    await hot.close()


@pytest.fixture
def timelines(hot: Hot) -> Timelines:
    return Timelines(hot, length=LENGTH, seconds=3600)


async def held(timelines: Timelines, reader: int) -> list[int] | None:
    """What a timeline holds, sorted and without what it repeats."""
    found = await timelines.read(reader)
    return None if found is None else sorted({*found} - {0})


async def test_what_is_not_there_gets_nothing(timelines: Timelines) -> None:
    assert await timelines.push(5, [1, 2, 3]) == 0
    assert await held(timelines, 1) is None


async def test_posts_go_to_those_who_read(timelines: Timelines) -> None:
    for reader in (1, 65, 3):  # the first two share a bucket
        assert await timelines.fill(reader, await timelines.begin(reader), [1, 2])
    assert await timelines.push(5, [1, 2, 3, 65]) == 3
    assert await timelines.push_many({6: [1], 7: [65, 1]}) == 3
    assert await held(timelines, 1) == [1, 2, 5, 6, 7]
    assert await held(timelines, 65) == [1, 2, 5, 7]
    assert await held(timelines, 2) is None


async def test_what_is_pushed_during_a_rebuild_is_not_lost(timelines: Timelines) -> None:
    build = await timelines.begin(1)
    assert await held(timelines, 1) is None  # not before it is whole
    assert await timelines.push(9, [1]) == 1
    assert await timelines.fill(1, build, [3, 4])
    assert await held(timelines, 1) == [3, 4, 9]


async def test_the_last_rebuild_wins(timelines: Timelines) -> None:
    first, second = await timelines.begin(1), await timelines.begin(1)
    assert not await timelines.fill(1, first, [1])
    assert await timelines.fill(1, second, [2])
    assert not await timelines.fill(1, second, [3])
    assert await held(timelines, 1) == [2]


async def test_a_timeline_dropped_while_it_is_filled_stays_dropped(timelines: Timelines) -> None:
    build = await timelines.begin(1)
    await timelines.drop([1, 2])
    assert not await timelines.fill(1, build, [1])
    assert await held(timelines, 1) is None


async def test_it_keeps_what_came_last(timelines: Timelines) -> None:
    await timelines.fill(1, await timelines.begin(1), range(1, LENGTH + 1))
    for post_id in range(LENGTH + 1, 4 * LENGTH):
        await timelines.push(post_id, [1])
        found = await held(timelines, 1)
        assert found is not None
        assert found[-LENGTH:] == list(range(post_id - LENGTH + 1, post_id + 1))
        assert len(found) < LENGTH + TAIL


async def test_a_rebuild_that_finds_much_keeps_what_was_pushed_meanwhile(timelines: Timelines) -> None:
    build = await timelines.begin(1)
    for post_id in (101, 102, 103):
        await timelines.push(post_id, [1])
    assert await timelines.fill(1, build, range(1, LENGTH + 1))
    assert await held(timelines, 1) == [*range(4, LENGTH + 1), 101, 102, 103]
    for post_id in range(104, 104 + TAIL):  # the oldest make room, a tail at a time
        await timelines.push(post_id, [1])
    assert await held(timelines, 1) == [*range(4 + TAIL, LENGTH + 1), *range(101, 104 + TAIL)]


@pytest.mark.parametrize("many", [1, TAIL - 1, TAIL, 3 * TAIL + 1, 2 * LENGTH + 3])
async def test_whatever_is_pushed_during_a_rebuild_is_there_after_it(timelines: Timelines, many: int) -> None:
    build = await timelines.begin(1)
    pushed = list(range(1001, 1001 + many))
    for post_id in pushed:
        await timelines.push(post_id, [1])
    assert await timelines.fill(1, build, [1, 2, 3])
    assert (await held(timelines, 1) or [])[-LENGTH:] == [1, 2, 3, *pushed][-LENGTH:]


async def test_a_timeline_has_its_size_from_the_beginning(timelines: Timelines, hot: Hot) -> None:
    await timelines.fill(1, await timelines.begin(1), [1])
    key = timelines.key(1)
    size = await hot.client.strlen(key)
    for post_id in range(2, 3 * LENGTH):
        await timelines.push(post_id, [1])
    assert await hot.client.strlen(key) == size == 16 + 8 * (TAIL + LENGTH)


async def test_an_empty_timeline_is_a_timeline(timelines: Timelines) -> None:
    assert await timelines.fill(1, await timelines.begin(1), [])
    assert await held(timelines, 1) == []


async def test_more_readers_than_one_call_takes(timelines: Timelines) -> None:
    readers = [64 * n for n in range(1, 2 * CALL + 2)]  # all in one bucket
    await timelines.fill(readers[-1], await timelines.begin(readers[-1]), [])
    assert await timelines.push(7, readers) == 1
    assert await held(timelines, readers[-1]) == [7]


async def test_reading_prolongs_and_pushing_does_not(timelines: Timelines, hot: Hot) -> None:
    await timelines.fill(1, await timelines.begin(1), [1])
    key = timelines.key(1)
    await hot.client.pexpire(key, 1_000_000)
    await timelines.push(2, [1])
    assert 0 < await hot.client.pttl(key) <= 1_000_000
    await held(timelines, 1)
    assert await hot.client.pttl(key) > 1_000_000


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await true():  # noqa: ASYNC110  # nothing tells us
            await asyncio.sleep(0.02)


async def rewritten(hot: Hot) -> bool:
    """Whether the append-only file is as the last rewrite has left it."""
    info = await hot.client.info()
    assert isinstance(info, bytes)
    return b"aof_rewrite_in_progress:0" in info and b"aof_rewrite_scheduled:0" in info


async def there(hot: Hot, key: str) -> bool:
    try:
        return await hot.get(key) is not None
    except Unavailable:
        return False


async def test_a_server_that_comes_back_has_no_timelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenfold.systems.feed.hot.timelines.LOOK", 0.0)
    server = Valkey(tmp_path / "valkey", "a-password")
    await server.start()
    try:
        hot = await open_hot(Settings(valkey_url=Secret(server.url)))
        timelines = Timelines(hot, length=LENGTH, seconds=3600)
        assert await timelines.fill(1, await timelines.begin(1), [1, 2])
        # What the file has by chance, after a rewrite, isn't what was pushed last.
        await hot.client.custom_command(["BGREWRITEAOF"])
        await until(lambda: rewritten(hot))
        await timelines.push(3, [1])
        assert await held(timelines, 1) == [1, 2, 3]
        await server.stop()
        await server.start()
        await until(lambda: there(hot, timelines.key(1)))
        assert await held(timelines, 1) is None
        assert await timelines.fill(1, await timelines.begin(1), [1, 2, 3])
        assert await held(timelines, 1) == [1, 2, 3]
        await hot.close()
    finally:
        await server.stop()
