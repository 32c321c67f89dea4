"""Cache-aside in three levels: this process, Valkey, and the loader; told of changes by tombstones and broadcasts.

How stale can it be? After `invalidate` has returned, Valkey holds nothing old, and neither does any process once the
broadcast has reached it. Broadcasts arrive at most once: who missed one serves the old value until its own copy ends
(`ttl`), which is why that is short. A loader that reads from a replica adds the replica's lag.

What is asked for near the end of its time here is fetched again behind the answer. So nobody waits for what is in use.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from itertools import batched
from time import monotonic
from typing import Final, Literal

import msgspec
import structlog

from tenfold.platform.errors import Unavailable
from tenfold.platform.hot import CHUNK, Hot

log = structlog.get_logger(__name__)


class _Missing(Enum):
    MISSING = "MISSING"


#: What `peek` answers when it doesn't know. None means that there is no such thing.
MISSING: Final = _Missing.MISSING
type Missing = Literal[_Missing.MISSING]

#: What Valkey holds in place of a value that has just changed, and for how long. No packed struct is empty.
TOMBSTONE, TOMBSTONE_MS = b"", 10_000
#: Seconds after which a loaded value is too old to be shared: the tombstone that forbade it could be gone by then.
TOO_LATE = TOMBSTONE_MS / 1000 / 2
#: Bytes that an entry takes besides its packed value: key, slots, the objects of a struct (measured with tracemalloc).
OVERHEAD = 400
#: The share of its time after which an entry that is asked for is renewed.
RENEWED_AFTER = 0.75
#: Fetches under way at a time: one slow answer must not hold up all others, and few have more keys each.
FETCHES = 4
#: Seconds until an invalidation that couldn't be spread is tried again, and how many of them are remembered.
RETRY, OWED = 1.0, 100_000


class _Entry[V]:
    __slots__ = ("ends", "expires", "size", "used", "value")

    def __init__(self, value: V, expires: float, ends: float, size: int) -> None:
        self.value = value
        #: When it is to be renewed, and when it must not be used any longer.
        self.expires = expires
        self.ends = ends
        self.size = size
        self.used = False


class Cache[K: str | int, V: msgspec.Struct]:
    """Values of one kind by key. The counters (`hits` and so on) are plain numbers, sampled by telemetry.

    Eviction is FIFO with a second chance (CLOCK): a hit only sets a flag, which costs two thirds of what moving the
    entry to the end of a true LRU does, and what was looked at once can't push out what is looked at often.
    Keys known to be absent are kept apart and only in this process, so that somebody who tries out keys fills neither
    the room of the values nor Valkey.
    """

    #: For telemetry.
    COUNTERS = "hits absent_hits misses shared_hits loads coalesced evictions"

    def __init__(
        self,
        name: str,
        kind: type[V],
        load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]],
        *,
        hot: Hot,
        broadcast: Callable[[str, bytes], Awaitable[None]],
        entries: int = 100_000,
        max_bytes: int = 64 * 1024 * 1024,
        ttl: float = 30.0,
        shared_ttl: float = 3600.0,
        absent_entries: int = 10_000,
        absent_ttl: float = 5.0,
    ) -> None:
        """`load` answers for those of the keys that exist. Times are in seconds, and each is shortened by up to a fifth
        at random, so that what was stored together doesn't expire together."""
        self.hits = 0
        self.absent_hits = 0
        self.misses = 0
        self.shared_hits = 0
        self.loads = 0
        self.coalesced = 0
        self.evictions = 0
        self.bytes = 0
        self.subject = f"cache.{name}"
        self._name = name
        self._load = load
        self._hot = hot
        self._broadcast = broadcast
        self._limits = entries, max_bytes, absent_entries
        self._ttl, self._shared_ttl, self._absent_ttl = ttl, shared_ttl, absent_ttl
        self._pack = msgspec.msgpack.Encoder().encode
        self._unpack = msgspec.msgpack.Decoder(kind).decode
        # Ordered, because the first key of a plain dict gets ever slower to find when keys are removed at the front.
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._absent: OrderedDict[K, float] = OrderedDict()
        self._flights: dict[K, asyncio.Future[V | None]] = {}
        self._waiting: list[tuple[K, asyncio.Future[V | None]]] = []
        self._fetching = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._owed: dict[K, None] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def peek(self, key: K) -> V | Missing | None:
        """What this process knows, at once: the value, None for what is known to be absent, or MISSING."""
        entry = self._entries.get(key)
        if entry is not None and (entry.expires > monotonic() or self._may_still(key, entry)):
            entry.used = True
            self.hits += 1
            return entry.value
        if self._absent and self._absent.get(key, 0.0) > monotonic():
            self.absent_hits += 1
            return None
        return MISSING

    def _may_still(self, key: K, entry: _Entry[V]) -> bool:
        """Whether an entry is still good when it is to be renewed, which is begun here, once."""
        if entry.ends <= monotonic():
            return False
        entry.expires = entry.ends
        if key not in self._flights:
            self._take_off([key])
        return True

    async def get(self, key: K) -> V | None:
        """The value, from wherever it is; None when there is none. Raises what the loader raises."""
        value = self.peek(key)
        if value is not MISSING:
            return value
        self.misses += 1
        flight = self._flights.get(key)
        if flight is None:
            flight = self._take_off([key])[key]
        else:
            self.coalesced += 1
        return await asyncio.shield(flight)  # a caller that gives up doesn't take the others along

    async def get_many(self, keys: Iterable[K]) -> dict[K, V]:
        """Those of the values that exist, with one round trip a level."""
        found: dict[K, V] = {}
        waiting: dict[K, asyncio.Future[V | None]] = {}
        wanted: list[K] = []
        entries, now, hits = self._entries, monotonic(), 0
        for key in dict.fromkeys(keys):
            entry = entries.get(key)
            if entry is not None and entry.expires > now:  # as `peek` does, which would cost as much again
                entry.used = True
                found[key] = entry.value
                hits += 1
                continue
            known = self.peek(key)
            if known is MISSING:
                self.misses += 1
                if key in self._flights:
                    self.coalesced += 1
                    waiting[key] = self._flights[key]
                else:
                    wanted.append(key)
            elif known is not None:
                found[key] = known
        self.hits += hits
        if wanted:
            waiting |= self._take_off(wanted)
        for key, flight in waiting.items():
            value = await asyncio.shield(flight)
            if value is not None:
                found[key] = value
        return found

    async def invalidate(self, keys: Iterable[K]) -> None:
        """Call this after the commit that changed, made or removed the values. Never fails: what can't be spread now is
        tried again every second. A process that is killed in between leaves the old value in Valkey for `shared_ttl`
        at most; where that is too long, call this from a consumer as well.
        """
        changed = list(keys)
        try:
            # Before it is forgotten here: a load in between would fetch the old value from Valkey.
            rows = [(self._key(key), TOMBSTONE, TOMBSTONE_MS) for key in changed]
            await self._hot.set_many(rows)
        except Unavailable:
            self._owe(changed)
        self._forget(changed)
        try:
            for some in batched(changed, CHUNK):
                await self._broadcast(self.subject, msgspec.msgpack.encode(some))
        except Unavailable:
            self._owe(changed)

    async def on_broadcast(self, payload: bytes) -> None:
        """Another process (or this one) has changed something. For `bus.on_broadcast(cache.subject, ...)`."""
        self._forget(msgspec.msgpack.decode(payload))

    async def on_reconnect(self) -> None:
        """Forget all: who was cut off may have missed broadcasts. For `bus.on_reconnect(...)`."""
        self._forget([*self._entries, *self._absent, *self._flights])

    async def close(self) -> None:
        """Try once more to spread what is owed, and give up what is under way."""
        owed, self._owed = self._owed, {}
        await self.invalidate(owed)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _take_off(self, keys: list[K]) -> dict[K, asyncio.Future[V | None]]:
        """Fetch keys once, for everybody who asks for them meanwhile.

        At most FETCHES are under way; what is asked for in the meantime goes together in the next. So a burst of misses
        costs a few round trips rather than some for each key, and a single one waits for nothing.
        """
        loop = asyncio.get_running_loop()
        flights: dict[K, asyncio.Future[V | None]] = {key: loop.create_future() for key in keys}
        self._flights |= flights
        self._waiting += flights.items()
        if self._fetching < FETCHES:
            self._fetching += 1
            self._start(self._fly())
        return flights

    async def _fly(self) -> None:
        flights: list[tuple[K, asyncio.Future[V | None]]] = []
        try:
            while self._waiting:
                flights, self._waiting = self._waiting[:CHUNK], self._waiting[CHUNK:]
                await self._land(flights)
        finally:
            self._fetching -= 1
            for key, flight in [*flights, *(self._waiting if self._fetching == 0 else ())]:
                flight.cancel()  # only when this was cancelled itself
                if self._flights.get(key) is flight:
                    del self._flights[key]

    async def _land(self, flights: Sequence[tuple[K, asyncio.Future[V | None]]]) -> None:
        """Give those who wait what there is, or the error that it met."""
        try:
            fetched = await self._fetch(list(dict.fromkeys(key for key, _ in flights)))
        except Exception as error:  # noqa: BLE001  # it belongs to those who wait
            for _, flight in flights:
                flight.set_exception(error)
                flight.exception()  # seen, even if all of them have given up
            fetched = {}
        for key, flight in flights:
            value, size = fetched.get(key, (None, 0))
            if self._flights.get(key) is flight:  # else it was invalidated meanwhile: this may be the old value
                if not flight.done():
                    self._keep(key, value, size)
                del self._flights[key]
            if not flight.done():
                flight.set_result(value)

    async def _fetch(self, keys: list[K]) -> dict[K, tuple[V, int]]:
        """Values and their sizes from Valkey or, where it has none, from the loader, which Valkey is told of."""
        shared: Sequence[bytes | None] | None = None
        found: dict[K, tuple[V, int]] = {}
        with suppress(Unavailable):
            shared = await self._hot.get_many([self._key(key) for key in keys])
        for key, data in zip(keys, shared or (), strict=False):
            if data:
                with suppress(msgspec.DecodeError):  # another version's; it stays until it expires
                    found[key] = self._unpack(data), len(data)
        self.shared_hits += len(found)
        wanted = [key for key in keys if key not in found]
        if not wanted:
            return found
        began = monotonic()
        self.loads += len(wanted)
        rows: list[tuple[str, bytes, int]] = []
        for key, value in (await self._load(wanted)).items():
            data = self._pack(value)
            found[key] = value, len(data)
            rows.append((self._key(key), data, int(_jittered(self._shared_ttl) * 1000)))
        if shared is not None and rows and monotonic() - began < TOO_LATE:
            # Only where there is nothing: a tombstone says that this may have been read before the change.
            with suppress(Unavailable):
                await self._hot.set_many(rows, only_new=True)
        return found

    def _keep(self, key: K, value: V | None, size: int) -> None:
        before = self._entries.get(key)
        if before is not None and before.value == value:
            value = before.value  # what others have made of it stays known by it
        self._drop(key)
        most_entries, most_bytes, most_absent = self._limits
        if value is None:
            self._absent[key] = monotonic() + _jittered(self._absent_ttl)
            if len(self._absent) > most_absent:
                self._absent.popitem(last=False)
            return
        size += OVERHEAD
        if size > most_bytes:
            return
        now = monotonic()
        while len(self._entries) >= most_entries or self.bytes + size > most_bytes:
            oldest, entry = self._entries.popitem(last=False)
            if entry.used and entry.ends > now:
                entry.used = False
                self._entries[oldest] = entry
            else:
                self.bytes -= entry.size
                self.evictions += 1
        lasts = _jittered(self._ttl)
        self._entries[key] = _Entry(value, now + RENEWED_AFTER * lasts, now + lasts, size)
        self.bytes += size

    def _forget(self, keys: Iterable[K]) -> None:
        for key in keys:
            self._drop(key)
            self._flights.pop(key, None)  # who asks from now on starts a load of their own

    def _drop(self, key: K) -> None:
        self._absent.pop(key, None)
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry.size

    def _owe(self, keys: Iterable[K]) -> None:
        idle = not self._owed
        self._owed |= dict.fromkeys(keys)
        while len(self._owed) > OWED:
            log.error("invalidation_lost", cache=self._name, key=self._owed.popitem()[0])
        if idle:
            self._start(self._pay())

    async def _pay(self) -> None:
        await asyncio.sleep(RETRY)
        owed, self._owed = self._owed, {}
        await self.invalidate(owed)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _key(self, key: K) -> str:
        return self._hot.key("cache", self._name, f"{{{key}}}")


def _jittered(seconds: float) -> float:
    return seconds * (1 - random.random() / 5)
