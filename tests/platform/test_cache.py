"""The cache: three levels, one load for many who ask, and nothing old after a change."""

import asyncio
import itertools
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenfold.platform import cache as module
from tenfold.platform.bus import open_bus
from tenfold.platform.cache import MISSING, OVERHEAD, TOMBSTONE, Cache
from tenfold.platform.engines import Valkey
from tenfold.platform.errors import Unavailable
from tenfold.platform.hot import TRIES, Hot, open_hot
from tenfold.platform.settings import Secret, Settings
from tenfold.platform.testing import Engines

NAMES = (f"cache{number}" for number in itertools.count())


class Page(msgspec.Struct):
    text: str


class Shelf:
    """Where values really are, and the processes that have caches of it: what a database and a bus are to a system."""

    def __init__(self, hot: Hot) -> None:
        self.hot = hot
        self.name = next(NAMES)
        self.pages: dict[str, Page] = {}
        self.loads: Counter[str] = Counter()
        self.caches: list[Cache[str, Page]] = []
        self.open = asyncio.Event()  # cleared: loads have read, and hold what they read
        self.open.set()
        self.reading = asyncio.Event()
        self.broken: Exception | None = None
        self.deaf = False

    def cache(self, **options: float) -> Cache[str, Page]:
        cache = Cache(self.name, Page, self.load, hot=self.hot, broadcast=self.broadcast, **options)  # type: ignore[arg-type]
        self.caches.append(cache)
        return cache

    async def load(self, keys: Sequence[str]) -> dict[str, Page]:
        self.loads.update(keys)
        if self.broken:
            raise self.broken
        read = {key: self.pages[key] for key in keys if key in self.pages}
        self.reading.set()
        await self.open.wait()
        return read

    async def broadcast(self, subject: str, payload: bytes) -> None:
        if self.deaf:
            raise Unavailable(part="The bus")
        for cache in self.caches:
            assert cache.subject == subject
            await cache.on_broadcast(payload)

    async def shared(self, key: str) -> bytes | None:
        return await self.hot.get(self.hot.key("cache", self.name, f"{{{key}}}"))


@pytest.fixture(scope="module")
async def hot(engines: Engines) -> AsyncIterator[Hot]:
    hot = await open_hot(engines.settings(), f"test{secrets.token_hex(4)}")
    yield hot
    await hot.close()


@pytest.fixture
async def shelf(hot: Hot) -> AsyncIterator[Shelf]:
    shelf = Shelf(hot)
    yield shelf
    for cache in shelf.caches:
        await cache.close()


class Clock:
    now = 1_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", lambda: clock.now)
    return clock


async def becomes(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_each_level_answers_for_the_one_below(shelf: Shelf):
    here, there = shelf.cache(), shelf.cache()
    shelf.pages["a"] = Page("first")
    assert here.peek("a") is MISSING
    assert await here.get("a") == Page("first")
    assert here.peek("a") == Page("first")
    assert await here.get("a") == Page("first")
    assert (here.misses, here.loads, here.shared_hits, here.hits) == (1, 1, 0, 2)
    assert await there.get("a") == Page("first")
    assert (there.misses, there.loads, there.shared_hits, there.hits) == (1, 0, 1, 0)
    assert shelf.loads == {"a": 1}


async def test_what_does_not_exist_is_remembered_here_and_nowhere_else(shelf: Shelf):
    cache = shelf.cache()
    assert await cache.get("a") is None
    assert cache.peek("a") is None
    assert await cache.get("a") is None
    assert (cache.loads, cache.absent_hits) == (1, 2)
    assert await shelf.shared("a") is None


async def test_trying_out_keys_takes_no_room_from_values(shelf: Shelf):
    cache = shelf.cache(entries=10, absent_entries=3)
    shelf.pages["a"] = Page("a")
    await cache.get("a")
    for n in range(100):
        await cache.get(f"guess{n}")
    assert cache.peek("a") == Page("a")
    assert [cache.peek(f"guess{n}") for n in (96, 97, 98, 99)] == [MISSING, None, None, None]


async def test_many_ask_and_one_load_answers(shelf: Shelf):
    cache = shelf.cache()
    shelf.pages["a"] = Page("a")
    shelf.open.clear()
    askers = [asyncio.create_task(cache.get("a")) for _ in range(50)]
    many = asyncio.create_task(cache.get_many(["a", "b"]))
    await shelf.reading.wait()
    await asyncio.sleep(0)
    shelf.open.set()
    assert await asyncio.gather(*askers) == [Page("a")] * 50
    assert await many == {"a": Page("a")}
    assert shelf.loads["a"] == 1
    assert cache.coalesced == 50


async def test_who_gives_up_does_not_take_the_others_along(shelf: Shelf):
    cache = shelf.cache()
    shelf.pages["a"] = Page("a")
    shelf.open.clear()
    first, second = (asyncio.create_task(cache.get("a")) for _ in range(2))
    await shelf.reading.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    shelf.open.set()
    assert await second == Page("a")
    assert cache.peek("a") == Page("a")


async def test_an_error_reaches_all_who_wait_and_is_not_remembered(shelf: Shelf):
    cache = shelf.cache()
    shelf.pages["a"] = Page("a")
    shelf.broken = Unavailable(part="The database")
    askers = await asyncio.gather(*(cache.get("a") for _ in range(3)), return_exceptions=True)
    assert askers == [shelf.broken] * 3
    shelf.broken = None
    assert await cache.get("a") == Page("a")


async def test_many_values_take_one_load(shelf: Shelf):
    cache = shelf.cache()
    shelf.pages = {str(n): Page(str(n)) for n in range(2_000)}
    await cache.get("1")
    found = await cache.get_many(str(n) for n in range(2_500))
    assert found == shelf.pages
    assert set(shelf.loads.values()) == {1}
    assert cache.loads == 2_500
    other = shelf.cache()
    assert await other.get_many(["3", "2400", "3"]) == {"3": Page("3")}
    assert (other.shared_hits, other.loads) == (1, 1)


async def test_a_change_is_seen_by_every_process(shelf: Shelf):
    caches = [shelf.cache() for _ in range(3)]
    shelf.pages["a"] = Page("old")
    for cache in caches:
        await cache.get_many(["a", "b"])
    shelf.pages |= {"a": Page("new"), "b": Page("made")}
    await caches[0].invalidate(["a", "b"])
    for cache in caches:
        assert cache.peek("a") is MISSING
        assert await cache.get_many(["a", "b"]) == shelf.pages
    del shelf.pages["a"]
    await caches[1].invalidate(["a"])
    assert [await cache.get("a") for cache in caches] == [None] * 3


async def test_a_slow_load_cannot_bring_the_old_value_back(shelf: Shelf):
    here, there = shelf.cache(), shelf.cache()
    shelf.pages["a"] = Page("old")
    shelf.open.clear()
    slow = asyncio.create_task(here.get("a"))
    await shelf.reading.wait()
    shelf.pages["a"] = Page("new")
    await there.invalidate(["a"])
    fresh = asyncio.create_task(here.get("a"))  # doesn't join the load that began before the change
    await becomes(lambda: shelf.loads["a"] == 2)
    shelf.open.set()
    assert await slow == Page("old"), "it asked before the change"
    assert await fresh == Page("new")
    assert here.peek("a") == Page("new")
    assert await shelf.shared("a") == TOMBSTONE


async def test_a_slow_load_that_missed_the_broadcast_keeps_the_old_value_to_itself(shelf: Shelf):
    here, there = shelf.cache(), shelf.cache()
    shelf.pages["a"] = Page("old")
    shelf.open.clear()
    slow = asyncio.create_task(here.get("a"))
    await shelf.reading.wait()
    shelf.pages["a"] = Page("new")
    shelf.caches.remove(here)
    await there.invalidate(["a"])
    shelf.open.set()
    await slow
    assert await shelf.shared("a") == TOMBSTONE
    assert await there.get("a") == Page("new")
    await here.close()


async def test_a_load_that_outlives_tombstones_is_not_shared(shelf: Shelf, clock: Clock):
    cache = shelf.cache()
    shelf.pages["a"] = Page("a")
    shelf.open.clear()
    slow = asyncio.create_task(cache.get("a"))
    await shelf.reading.wait()
    clock.now += 9
    shelf.open.set()
    assert await slow == Page("a")
    assert await shelf.shared("a") is None


async def test_values_and_absences_expire(shelf: Shelf, clock: Clock):
    cache = shelf.cache(ttl=30, absent_ttl=5)
    shelf.pages["a"] = Page("a")
    await cache.get_many(["a", "b"])
    clock.now += 3.9  # times are shortened by a fifth at most
    assert (cache.peek("a"), cache.peek("b")) == (Page("a"), None)
    clock.now += 1.2
    assert (cache.peek("a"), cache.peek("b")) == (Page("a"), MISSING)
    clock.now += 25
    assert cache.peek("a") is MISSING
    await cache.get("a")
    assert (len(cache), cache.peek("a")) == (1, Page("a"))


async def renewed(cache: Cache[str, Page]) -> None:
    await asyncio.gather(*cache._tasks)


async def test_what_is_in_use_is_renewed_before_it_ends(shelf: Shelf, clock: Clock):
    cache = shelf.cache(ttl=40)
    shelf.pages |= {"a": Page("a"), "b": Page("b"), "c": Page("c")}
    before = await cache.get_many(["a", "b", "c"])
    shelf.pages["a"] = Page("new")  # and no broadcast has come
    del shelf.pages["c"]
    await shelf.hot.delete([shelf.hot.key("cache", shelf.name, f"{{{key}}}") for key in "abc"])
    clock.now += 31  # three quarters of at most 40 s are over, four fifths of them are not
    assert await cache.get_many(["a", "b", "c"]) == before
    assert cache.peek("a") == Page("a")
    await renewed(cache)
    assert [cache.peek(key) for key in "abc"] == [Page("new"), Page("b"), None]
    assert cache.peek("b") is before["b"]
    assert shelf.loads == {"a": 2, "b": 2, "c": 2}
    clock.now += 20  # a second life
    assert cache.peek("a") == Page("new")


async def test_what_cant_be_renewed_ends(shelf: Shelf, clock: Clock):
    cache = shelf.cache(ttl=40)
    shelf.pages["a"] = Page("a")
    await cache.get("a")
    await shelf.hot.delete([shelf.hot.key("cache", shelf.name, "{a}")])
    shelf.broken = RuntimeError("no database")
    clock.now += 31
    assert cache.peek("a") == Page("a")
    await renewed(cache)
    assert cache.peek("a") == Page("a")
    assert shelf.loads["a"] == 2
    clock.now += 9
    assert cache.peek("a") is MISSING
    with pytest.raises(RuntimeError, match="no database"):
        await cache.get("a")


async def test_what_changes_while_it_is_renewed_is_not_kept(shelf: Shelf, clock: Clock):
    cache = shelf.cache(ttl=40)
    shelf.pages["a"] = Page("a")
    await cache.get("a")
    await shelf.hot.delete([shelf.hot.key("cache", shelf.name, "{a}")])
    clock.now += 31
    shelf.open.clear()
    shelf.reading.clear()
    assert cache.peek("a") == Page("a")
    await shelf.reading.wait()
    shelf.pages["a"] = Page("new")
    await cache.invalidate(["a"])
    shelf.open.set()
    await renewed(cache)
    assert cache.peek("a") is MISSING
    assert await cache.get("a") == Page("new")


async def test_shared_values_expire(shelf: Shelf):
    cache = shelf.cache(shared_ttl=3600)
    shelf.pages["a"] = Page("a")
    await cache.get("a")
    assert 0.8 * 3600 - 60 < await shelf.hot.client.ttl(shelf.hot.key("cache", shelf.name, "{a}")) <= 3600


async def test_another_versions_value_is_a_miss(shelf: Shelf):
    shelf.pages["a"] = Page("a")
    key = shelf.hot.key("cache", shelf.name, "{a}")
    await shelf.hot.set_many([(key, msgspec.msgpack.encode({"other": 1}), 60_000)])
    assert await shelf.cache().get("a") == Page("a")


async def test_keys_may_be_numbers(shelf: Shelf):
    async def load(keys: Sequence[int]) -> dict[int, Page]:
        return {key: Page(str(key)) for key in keys if key < 10}

    cache = Cache(shelf.name, Page, load, hot=shelf.hot, broadcast=shelf.broadcast)
    assert await cache.get_many([3, 30]) == {3: Page("3")}
    await cache.on_broadcast(msgspec.msgpack.encode([3, 30]))
    assert (cache.peek(3), cache.peek(30)) == (MISSING, MISSING)
    await cache.close()


@pytest.fixture
async def own_valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    """A server of one's own, to be stopped."""
    valkey = Valkey(tmp_path / "valkey", secrets.token_urlsafe(12))
    await valkey.start()
    yield valkey
    await valkey.stop()


async def test_without_valkey_the_loader_answers_and_changes_are_spread_later(own_valkey: Valkey):
    shelf = Shelf(await open_hot(Settings(valkey_url=Secret(own_valkey.url)), "test"))
    here, there = shelf.cache(), shelf.cache()
    shelf.pages["a"] = Page("old")
    await there.get("a")
    assert await shelf.shared("a") == msgspec.msgpack.encode(Page("old"))
    await own_valkey.stop()
    for n in range(TRIES):
        shelf.pages[str(n)] = Page(str(n))
        assert await here.get(str(n)) == Page(str(n))
    shelf.pages["a"] = Page("new")
    await here.invalidate(["a"])
    assert await there.get("a") == Page("new"), "the broadcast came through"
    await own_valkey.start()  # with the old value, from its append-only file

    async with asyncio.timeout(20):
        while True:
            try:
                if await shelf.shared("a") == TOMBSTONE:
                    break
            except Unavailable:
                pass
            await asyncio.sleep(0.05)
    for cache in (here, there):
        assert await cache.get("a") == Page("new")
        await cache.close()
    await shelf.hot.close()


async def test_without_the_bus_a_change_is_spread_later(shelf: Shelf, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "RETRY", 0.01)
    here, there = shelf.cache(), shelf.cache()
    shelf.pages["a"] = Page("old")
    await there.get("a")
    shelf.pages["a"] = Page("new")
    shelf.deaf = True
    await here.invalidate(["a"])
    assert there.peek("a") == Page("old")
    shelf.deaf = False
    await becomes(lambda: there.peek("a") is MISSING)
    assert await there.get("a") == Page("new")


async def test_who_was_cut_off_forgets_all(shelf: Shelf):
    here, there = shelf.cache(), shelf.cache()
    shelf.pages["a"] = Page("old")
    await here.get_many(["a", "b"])
    shelf.caches.remove(here)
    shelf.pages |= {"a": Page("new"), "b": Page("made")}
    await there.invalidate(["a", "b"])
    assert (here.peek("a"), here.peek("b")) == (Page("old"), None)
    await here.on_reconnect()
    assert (len(here), here.bytes) == (0, 0)
    assert await here.get_many(["a", "b"]) == shelf.pages
    await here.close()


async def test_over_the_real_bus(hot: Hot, settings: Settings):
    buses = [await open_bus(settings) for _ in range(2)]
    shelf = Shelf(hot)
    here, there = caches = [
        Cache(shelf.name, Page, shelf.load, hot=hot, broadcast=bus.broadcast, absent_ttl=3600) for bus in buses
    ]
    for bus, cache in zip(buses, caches, strict=True):
        await bus.on_broadcast(cache.subject, cache.on_broadcast)
        await bus.client.flush()  # the server knows of it
    shelf.pages["a"] = Page("old")
    for cache in caches:
        await cache.get_many(["a", "b"])
    shelf.pages |= {"a": Page("new"), "b": Page("made")}
    await here.invalidate(["a", "b"])
    await becomes(lambda: there.peek("a") is MISSING and there.peek("b") is MISSING)
    assert await there.get_many(["a", "b"]) == shelf.pages
    for bus, cache in zip(buses, caches, strict=True):
        await cache.close()
        await bus.close()


async def test_closing_spreads_what_is_owed(shelf: Shelf):
    here, there = shelf.cache(), shelf.cache()
    shelf.pages["a"] = Page("old")
    await there.get("a")
    shelf.deaf = True
    await here.invalidate(["a"])
    shelf.deaf = False
    await here.close()
    assert there.peek("a") is MISSING


async def test_only_so_much_is_owed(shelf: Shelf, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "OWED", 3)
    here, there = shelf.cache(), shelf.cache()
    shelf.pages = {str(n): Page("old") for n in range(5)}
    await there.get_many(shelf.pages)
    shelf.deaf = True
    await here.invalidate(["0", "1"])
    await here.invalidate(["2", "3", "4"])
    shelf.deaf = False
    await here.close()
    assert sum(there.peek(key) is MISSING for key in shelf.pages) == 3


class Model:
    """A queue with a second chance, written down as plainly as possible."""

    def __init__(self, entries: int, most_bytes: int) -> None:
        self.entries, self.most_bytes = entries, most_bytes
        self.queue: list[tuple[str, int]] = []
        self.used: set[str] = set()

    def holds(self, key: str) -> bool:
        return any(key == held for held, _ in self.queue)

    def look(self, key: str) -> bool:
        if self.holds(key):
            self.used.add(key)
        return self.holds(key)

    def forget(self, key: str) -> None:
        self.queue = [(held, size) for held, size in self.queue if held != key]
        self.used.discard(key)

    def put(self, key: str, size: int) -> None:
        if size > self.most_bytes:
            return
        while len(self.queue) == self.entries or self.bytes + size > self.most_bytes:
            (oldest, its_size), *self.queue = self.queue
            if oldest in self.used:
                self.used.remove(oldest)
                self.queue.append((oldest, its_size))
        self.queue.append((key, size))

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.queue)


KEYS = [str(n) for n in range(12)]
STEPS = st.tuples(st.sampled_from(["get", "get", "get", "peek", "peek", "forget"]), st.sampled_from(KEYS))


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=60),
    lengths=st.lists(st.integers(0, 900), min_size=len(KEYS), max_size=len(KEYS)),
    entries=st.integers(1, 8),
    most_bytes=st.integers(OVERHEAD, 6_000),
)
async def test_eviction_does_what_the_model_does(
    hot: Hot, steps: list[tuple[str, str]], lengths: list[int], entries: int, most_bytes: int
):
    shelf = Shelf(hot)
    shelf.pages = {key: Page("x" * length) for key, length in zip(KEYS, lengths, strict=True)}
    cache = shelf.cache(entries=entries, max_bytes=most_bytes, ttl=float("inf"))
    model = Model(entries, most_bytes)
    for what, key in steps:
        if what == "forget":
            await cache.on_broadcast(msgspec.msgpack.encode([key]))
            model.forget(key)
        elif what == "peek":
            assert (cache.peek(key) is not MISSING) == model.look(key)
        else:
            held = model.look(key)
            misses = cache.misses
            assert await cache.get(key) == shelf.pages[key]
            assert (cache.misses == misses) == held
            if not held:
                model.put(key, len(msgspec.msgpack.encode(shelf.pages[key])) + OVERHEAD)
        assert (len(cache), cache.bytes) == (len(model.queue), model.bytes)
    await cache.close()
