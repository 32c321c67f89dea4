"""Open streams of clients: who listens to what in this process, and the word that goes to all processes.

What is told travels as a NATS message at most once, and only as ids: what a reader may see of it is decided and read
where they are connected. Whoever misses something, because too much waits for them or the bus was away, is
disconnected: clients come back and read the timeline.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress

import msgspec

from tenfold.platform import telemetry
from tenfold.platform.bus import Bus
from tenfold.platform.errors import TooManyRequests, Unavailable
from tenfold.systems.feed.rules import streams as rules
from tenfold.systems.feed.rules.streams import FollowsTold, NoticeTold, Stream, Told, Topic
from tenfold.systems.feed.settings import FeedSettings
from tenfold.systems.feed.types import Post

SUBJECT = "feed.stream"
#: What may wait for one reader, who is disconnected when it becomes more.
QUEUE = 256
#: Seconds after which somebody who was turned away may try again.
RETRY_AFTER = 30


class Listening:
    """One stream of a reader: its topics, and for homes and lists to whom they show replies."""

    __slots__ = ("known", "reader", "stream", "topics")

    def __init__(self, reader: "Reader", stream: Stream, topics: frozenset[Topic], known: Collection[int]) -> None:
        self.reader = reader
        self.stream = stream
        self.topics = topics
        self.known = known


class Reader:
    """A connection of a client, with the streams that it listens to. Made by `Streams.open`; who opens it closes it."""

    def __init__(self, streams: "Streams", account_id: int) -> None:
        self.account_id = account_id
        self.closed = False
        self._streams = streams
        self._listening: dict[Stream, Listening] = {}
        self._waiting: deque[tuple[Listening, Told]] = deque()
        self._wake = asyncio.Event()

    @property
    def listening(self) -> Collection[Stream]:
        return tuple(self._listening)

    def listen(self, stream: Stream, topics: Iterable[Topic], known: Collection[int] = ()) -> None:
        """Listen to a stream. What it listened to before is replaced."""
        if not self.closed:
            before = self._listening.get(stream)
            now = self._listening[stream] = Listening(self, stream, frozenset(topics), known)
            self._streams.index(before, now)

    def leave(self, stream: Stream) -> None:
        self._streams.index(self._listening.pop(stream, None), None)

    def offer(self, listening: Listening, told: Told) -> None:
        """Something for this reader. When too much waits, they are disconnected."""
        if len(self._waiting) >= QUEUE and not self.closed:
            self._streams.slow += 1
            self.close()
        elif not self.closed:
            self._waiting.append((listening, told))
            self._wake.set()

    async def take(self, timeout: float) -> list[tuple[Listening, Told]] | None:
        """All that waits; nothing after so many seconds of silence, None at the end."""
        if not self._waiting and not self.closed:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
        if self.closed:
            return None
        taken, self._waiting = list(self._waiting), deque()
        # What is no longer listened to has no reader.
        return [each for each in taken if self._listening.get(each[0].stream) is not None]

    def close(self) -> None:
        """Stop listening. May be called again."""
        if not self.closed:
            self.closed = True
            self._wake.set()
            for stream in tuple(self._listening):
                self.leave(stream)
            self._streams.forget(self)


class Streams:
    """The open streams of this process, and the way to those of all. Counters are plain numbers, for telemetry."""

    def __init__(self, bus: Bus, *, most: int, most_per_account: int) -> None:
        self.told = 0
        #: Readers who were disconnected because they didn't keep up, and those who were turned away.
        self.slow = 0
        self.refused = 0
        self._bus = bus
        self._most = most
        self._most_per_account = most_per_account
        self._readers: set[Reader] = set()
        self._of: Counter[int] = Counter()
        self._index: dict[Topic, set[Listening]] = {}
        self._decode = msgspec.json.Decoder(Told).decode

    @property
    def readers(self) -> int:
        return len(self._readers)

    @property
    def topics(self) -> Collection[Topic]:
        """What is listened to here."""
        return self._index.keys()

    def admit(self, account_id: int) -> None:
        """Raises TooManyRequests when the account, or this process, has as many readers as it may."""
        if len(self._readers) >= self._most or self._of[account_id] >= self._most_per_account:
            self.refused += 1
            raise TooManyRequests(retry_after=RETRY_AFTER)

    def open(self, account_id: int) -> Reader:
        """A connection that listens to nothing yet. Raises TooManyRequests."""
        self.admit(account_id)
        reader = Reader(self, account_id)
        self._readers.add(reader)
        self._of[account_id] += 1
        return reader

    def forget(self, reader: Reader) -> None:
        """A reader has closed."""
        self._readers.discard(reader)
        self._of[reader.account_id] -= 1
        if not self._of[reader.account_id]:
            del self._of[reader.account_id]

    def index(self, before: Listening | None, now: Listening | None) -> None:
        """Put one listening in the place of another."""
        if before is not None:
            for topic in before.topics:
                others = self._index[topic]
                others.discard(before)
                if not others:
                    del self._index[topic]
        if now is not None:
            for topic in now.topics:
                self._index.setdefault(topic, set()).add(now)

    async def tell_post(self, post: Post) -> None:
        """A post or a repost is there: after the commit."""
        await self._tell(rules.of_post(post, "update"))

    async def tell_edited(self, post: Post) -> None:
        await self._tell(rules.of_post(post, "status.update"))

    async def tell_deleted(self, post: Post) -> None:
        """A post or a repost is gone: after the commit."""
        await self._tell(rules.of_post(post, "delete"))

    async def tell_notification(self, account_id: int, notification_id: int) -> None:
        await self._tell(NoticeTold(account_id, notification_id))

    async def tell_follows(self, account_id: int) -> None:
        """An account follows others than before, or has others on its lists: its open streams are put right."""
        await self._tell(FollowsTold(account_id))

    async def _tell(self, told: Told) -> None:
        with suppress(Unavailable):  # at most once: readers are disconnected when the bus was away
            await self._bus.broadcast(SUBJECT, msgspec.json.encode(told))

    async def heard(self, data: bytes) -> None:
        """Hand on what was told to whoever listens here. For `bus.on_broadcast`."""
        if not self._readers:
            return
        told = self._decode(data)
        for topic in rules.topics(told):
            for listening in tuple(self._index.get(topic, ())):
                listening.reader.offer(listening, told)
                self.told += 1

    async def end(self) -> None:
        """Disconnect everybody, so that no open stream holds up a stop; clients come back."""
        for reader in tuple(self._readers):
            reader.close()


@asynccontextmanager
async def open_streams(bus: Bus, settings: FeedSettings) -> AsyncIterator[Streams]:
    """The streams of this process, which are ended at the end."""
    streams = Streams(bus, most=settings.streams, most_per_account=settings.streams_per_account)
    telemetry.watch("feed", streams, counters="told slow refused", gauges="readers", door="streams")
    deaf = await bus.on_broadcast(SUBJECT, streams.heard)
    # What was said while the bus was away is lost.
    forget = bus.on_reconnect(streams.end)
    try:
        yield streams
    finally:
        forget()
        await deaf()
        await streams.end()
