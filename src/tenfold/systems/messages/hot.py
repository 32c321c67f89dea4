"""Who is connected where: words between processes by NATS, a subject an account, and presence in Valkey.

Nothing here is kept. A word that is lost costs time, not messages: what it was about lies in an inbox or a table.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from tenfold.contracts.messages.frames import FromServer, Presence
from tenfold.platform.bus import Bus
from tenfold.platform.errors import Unavailable
from tenfold.platform.hot import Hot
from tenfold.systems.messages.types import Ended, Look, Told, Word

#: Accounts that are told to look once the server is back.
REMEMBERED = 100_000

_encode = msgspec.json.encode
_pack = msgspec.msgpack.encode


class Sink(Protocol):
    """A connection, as words see it. What is offered here is dealt with without waiting."""

    account_id: int
    device_id: int

    def offer(self, word: Word) -> None: ...

    def look(self) -> None:
        """Words may have been missed: look into the inbox."""

    def show(self, frame: bytes) -> None:
        """A frame that may be lost."""


class Routes:
    """Words to accounts, whatever processes their devices are connected to. One a process."""

    def __init__(self, bus: Bus) -> None:
        self.sent = 0
        #: Words that there was no server for.
        self.unsent = 0
        self.heard = 0
        self._bus = bus
        self._unsent: set[int] = set()
        self._sinks: dict[int, set[Sink]] = {}
        self._deaf: dict[int, Callable[[], Awaitable[None]]] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self._decode = msgspec.msgpack.Decoder(Word).decode

    async def open(self, account_id: int, sink: Sink) -> None:
        """Have a connection hear what is said to its account. Raises Unavailable."""
        lock = self._locks.setdefault(account_id, asyncio.Lock())
        async with lock:
            self._sinks.setdefault(account_id, set()).add(sink)
            if account_id not in self._deaf:

                async def hear(data: bytes) -> None:
                    self._hear(account_id, data)

                try:
                    self._deaf[account_id] = await self._bus.on_broadcast(_subject(account_id), hear)
                except BaseException:
                    self._forget(account_id, sink)
                    raise

    async def close(self, account_id: int, sink: Sink) -> None:
        """A connection has ended. May be called again."""
        lock = self._locks.setdefault(account_id, asyncio.Lock())
        async with lock:
            self._forget(account_id, sink)
            if account_id not in self._sinks:
                deaf = self._deaf.pop(account_id, None)
                if deaf is not None:
                    with suppress(Unavailable):
                        await deaf()
                if not lock._waiters:
                    self._locks.pop(account_id, None)

    def _forget(self, account_id: int, sink: Sink) -> None:
        sinks = self._sinks.get(account_id, set())
        sinks.discard(sink)
        if not sinks:
            self._sinks.pop(account_id, None)

    def sinks(self, account_id: int) -> Collection[Sink]:
        """The connections of an account here."""
        return tuple(self._sinks.get(account_id, ()))

    async def send(self, account_id: int, word: Word) -> None:
        """Say something to the devices of an account. Never fails: what matters lies in an inbox already."""
        if await self._bus.send(f"_broadcast.{_subject(account_id)}", _pack(word)):
            self.sent += 1
        else:
            self.unsent += 1
            if len(self._unsent) < REMEMBERED:
                self._unsent.add(account_id)

    async def tell(self, account_ids: Iterable[int], frame: FromServer, *, but: int = 0) -> None:
        """Show a frame to all devices of accounts that are connected, except one."""
        word = Told(_encode(frame), but)
        for account_id in account_ids:
            await self.send(account_id, word)

    async def end(self, account_id: int, device_id: int, code: int, *, by: str = "") -> None:
        """End the connections of a device, except the one that asks for it."""
        await self.send(account_id, Ended(device_id, code, by))

    def _hear(self, account_id: int, data: bytes) -> None:
        word = self._decode(data)
        self.heard += 1
        for sink in tuple(self._sinks.get(account_id, ())):
            sink.offer(word)

    async def reconnected(self) -> None:
        """The bus was away: whatever was said meanwhile was missed."""
        for sinks in tuple(self._sinks.values()):
            for sink in tuple(sinks):
                sink.look()
        unsent, self._unsent = self._unsent, set()
        for account_id in unsent:
            await self.send(account_id, Look())


def _subject(account_id: int) -> str:
    return f"messages.to.{account_id}"


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """Somebody came or went: whether they are there, and if not, since when (milliseconds since 1970)."""

    account_id: int
    online: bool
    seen: int | None


class Watching:
    """Who is there, for those who watch them. Presence is a key in Valkey that goes unless it is refreshed."""

    SUBJECT = "messages.presence"

    def __init__(self, bus: Bus, hot: Hot, *, seconds: int) -> None:
        self._bus = bus
        self._hot = hot
        self._milliseconds = seconds * 1000
        self._watchers: dict[int, set[Sink]] = {}
        self._decode = msgspec.msgpack.Decoder(Seen).decode

    def watch(self, sink: Sink, before: Collection[int], now: Collection[int]) -> None:
        """Have a connection be shown who of these comes and goes, in place of those before."""
        for account_id in before:
            watchers = self._watchers.get(account_id, set())
            watchers.discard(sink)
            if not watchers:
                self._watchers.pop(account_id, None)
        for account_id in now:
            self._watchers.setdefault(account_id, set()).add(sink)

    async def online(self, account_ids: Sequence[int]) -> set[int]:
        """Those of them who are there. Nobody, while Valkey is away."""
        try:
            values = await self._hot.get_many([self._key(each) for each in account_ids])
        except Unavailable:
            return set()
        return {each for each, value in zip(account_ids, values, strict=True) if value is not None}

    async def beat(self, account_ids: Sequence[int]) -> None:
        """These are there, for a while more."""
        with suppress(Unavailable):
            await self._hot.set_many([(self._key(each), b"1", self._milliseconds) for each in account_ids])

    async def gone(self, account_id: int) -> None:
        with suppress(Unavailable):
            await self._hot.delete([self._key(account_id)])

    async def tell(self, seen: Seen) -> None:
        """Somebody came or went: whoever watches them is shown it."""
        with suppress(Unavailable):
            await self._bus.broadcast(self.SUBJECT, _pack(seen))

    async def heard(self, data: bytes) -> None:
        """For `bus.on_broadcast`."""
        seen = self._decode(data)
        watchers = self._watchers.get(seen.account_id)
        if watchers:
            frame = _encode(Presence(account=str(seen.account_id), online=seen.online, seen=seen.seen))
            for sink in tuple(watchers):
                sink.show(frame)

    def _key(self, account_id: int) -> str:
        return self._hot.key("messages", "online", f"{{{account_id}}}")
