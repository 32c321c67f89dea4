"""Topics: what happens on one reaches its readers at any process, in order, resumable, and never faster than they read.

A message goes through a JetStream stream in memory, whose sequence number is its id, and comes out again as a plain
NATS message with that number and the one before it on its topic. So a process needs one cheap subscription for each
topic that somebody looks at, notices by itself what it has missed, and a browser that comes back says where it was.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Self

import msgspec
from nats.aio.msg import Msg
from nats.js.api import RePublish, RetentionPolicy, StorageType, StreamConfig

from tenfold.platform.bus import Bus
from tenfold.platform.errors import Invalid, TenfoldError, Unavailable

#: How long a browser may be away and resume, in seconds and in messages of a topic; and memory for all topics together.
MAX_AGE = 300.0
HISTORY = 256
MAX_BYTES = 16 * 1024 * 1024
MAX_MESSAGE_BYTES = 32 * 1024
#: Messages that may wait for one reader. One that falls further behind loses them and is told to resync.
QUEUE = 256
#: Readers of one topic and of all topics in this process.
TOPIC_READERS = 5_000
READERS = 20_000
#: Seconds between two of those messages of a topic that replace each other, and topics that may wait for their turn.
CONFLATE = 0.1
CONFLATED_TOPICS = 10_000

_STREAM, _OUT = "_live", "_feed"
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,128}(\.[A-Za-z0-9_-]{1,128}){0,7}")
_encode = msgspec.json.encode


class BadTopic(Invalid):
    """There is no such live topic."""

    status = 404


class TooManyReaders(TenfoldError):
    """Too many people are watching at the moment. Try again in a moment."""

    status = 503


class MessageTooLarge(TenfoldError):
    """A live message has {size} bytes; at most {limit} are carried."""


class LiveMessage(msgspec.Struct, frozen=True):
    """A message of a topic. `data` is JSON.

    With `resync` it says instead that messages were lost to this reader: who shows a state must load it anew. Those
    with greater ids follow.
    """

    id: int
    data: bytes = b""
    resync: bool = False


class Live:
    """The live updates of one process. Made by `open_live`. The counters are plain numbers, sampled by telemetry."""

    def __init__(
        self, bus: Bus, *, queue: int = QUEUE, topic_readers: int = TOPIC_READERS, readers: int = READERS
    ) -> None:
        self.published = 0
        #: Messages that there was no server for. Live updates are worth nothing later, so they don't wait.
        self.dropped = 0
        self.resyncs = 0
        self.readers = 0
        self.max_queue = queue
        self.bus = bus
        self._max_topic_readers = topic_readers
        self._max_readers = readers
        self._topics: dict[str, Topic] = {}
        self._newest: dict[str, bytes] = {}
        self._conflating: asyncio.Task[None] | None = None
        self._end_reconnects = bus.on_reconnect(self._reconnected)

    async def publish(self, topic: str, data: bytes | msgspec.Struct) -> None:
        """Send JSON, or a struct as JSON, to everybody who reads the topic.

        Doesn't wait for the server, and never fails for want of it. Raises BadTopic, MessageTooLarge.
        """
        subject, payload = f"{_STREAM}.{_checked(topic)}", _payload(data)
        if await self.bus.send(subject, payload):
            self.published += 1
        else:
            self.dropped += 1

    async def publish_many(self, messages: Iterable[tuple[str, bytes | msgspec.Struct]]) -> None:
        """Send messages to their topics, in order."""
        for topic, data in messages:
            await self.publish(topic, data)

    def publish_latest(self, topic: str, data: bytes | msgspec.Struct) -> None:
        """Send a state that replaces the one before it: at most ten a second of each topic go out, the newest ones.

        Costs an entry in a table, however often it is called. Raises BadTopic, MessageTooLarge.
        """
        if topic not in self._newest and len(self._newest) >= CONFLATED_TOPICS:
            self.dropped += 1
            return
        self._newest[_checked(topic)] = _payload(data)
        if self._conflating is None:
            self._conflating = asyncio.create_task(self._conflate(), name="live-conflate")

    async def _conflate(self) -> None:
        while self._newest:
            await asyncio.sleep(CONFLATE)
            newest, self._newest = self._newest, {}
            await self.publish_many(newest.items())
        self._conflating = None

    def subscribe(self, topic: str, after: int | None = None) -> "Subscription":
        """Read a topic: from now on, or everything after the message with this id (a browser's Last-Event-ID).

        What can't be had any more (after five minutes, or 256 messages) becomes one message that says `resync`. Iterate
        over it, or give it to `sse` or `frames`; who iterates closes it. Raises BadTopic, TooManyReaders.
        """
        self._admit(_checked(topic))
        return Subscription(self, topic, after)

    def _admit(self, name: str) -> None:
        topic = self._topics.get(name)
        if self.readers >= self._max_readers or (topic and len(topic.readers) >= self._max_topic_readers):
            raise TooManyReaders

    async def position(self) -> int:
        """An id to subscribe after, so that nothing falls between a state and the updates to it.

        Take it before reading the state. Raises Unavailable.
        """
        return (await self.bus.sequences(_STREAM))[1]

    async def attach(self, reader: "Subscription") -> "Topic":
        """Count a reader in, and listen to its topic if it is the first there. Raises Unavailable, TooManyReaders."""
        self._admit(reader.topic)
        topic = self._topics.get(reader.topic)
        if topic is None:
            topic = self._topics[reader.topic] = Topic(self.bus, reader.topic)
        topic.readers.add(reader)
        self.readers += 1
        try:
            await topic.opened()
        except BaseException:
            await self.detach(reader, topic)
            raise
        return topic

    async def detach(self, reader: "Subscription", topic: "Topic") -> None:
        """Count a reader out."""
        topic.readers.discard(reader)
        self.readers -= 1
        if not topic.readers:
            if self._topics.get(topic.name) is topic:
                del self._topics[topic.name]
            await topic.close()

    async def open(self) -> None:
        """Make the stream. It lives in the server's memory, and so goes with the server."""
        config = StreamConfig(
            storage=StorageType.MEMORY,
            retention=RetentionPolicy.LIMITS,
            max_age=MAX_AGE,
            max_bytes=MAX_BYTES,
            max_msgs_per_subject=HISTORY,
            # Published without a wish for acknowledgements, and without ids.
            no_ack=True,
            duplicate_window=0.1,
            allow_direct=True,
            republish=RePublish(src=self.bus.subject(f"{_STREAM}.>"), dest=self.bus.subject(f"{_OUT}.>")),
            # Ids only grow, also over the loss of the stream: who resumes from the old one is told to resync.
            first_seq=time.time_ns() // 1000,
        )
        await self.bus.ensure(_STREAM, config)

    async def _reconnected(self) -> None:
        await self.open()
        for topic in tuple(self._topics.values()):
            await topic.catch_up()

    async def close(self) -> None:
        """Send what waits to be sent, and bring all readers to their end."""
        if self._conflating is not None:
            self._conflating.cancel()
            await asyncio.gather(self._conflating, return_exceptions=True)
            await self.publish_many(self._newest.items())
        self._end_reconnects()
        await self.end_readers()

    async def end_readers(self) -> None:
        """Bring all readers to their end, so that no open stream holds up a stop; browsers come back."""
        for topic in tuple(self._topics.values()):
            for reader in tuple(topic.readers):
                await reader.aclose()


class Topic:
    """A topic that somebody reads in this process: one subscription at the server, however many readers."""

    def __init__(self, bus: Bus, name: str) -> None:
        self.name = name
        self.readers: set[Subscription] = set()
        #: The newest message that readers have got, or that was there before the first of them.
        self.last = 0
        self._bus = bus
        self._opening: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], Awaitable[None]] | None = None

    async def opened(self) -> None:
        """Wait until messages come in. Raises Unavailable."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name=f"live {self.name}")
        await asyncio.shield(self._opening)

    async def _open(self) -> None:
        subject = self._bus.subject(f"{_OUT}.{self.name}")
        self._unsubscribe = await self._bus.listen(subject, self._arrived, pending=4 * HISTORY)
        # The answer also says that the server knows of the subscription.
        self.last = (await self._bus.sequences(_STREAM))[1]

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._unsubscribe is not None:
            await self._unsubscribe()

    async def _arrived(self, message: Msg) -> None:
        await self.opened()
        headers = message.headers or {}
        if int(headers["Nats-Last-Sequence"]) > self.last:
            await self.catch_up()
        self._hand_out(LiveMessage(int(headers["Nats-Sequence"]), message.data))

    async def catch_up(self) -> None:
        """Fetch what was missed; when that is gone, tell the readers so."""
        try:
            complete, messages = await history(self._bus, self.name, self.last)
        except Unavailable:
            complete, messages = False, []
        if not complete:
            self.last = messages.pop().id if messages else self.last
            for reader in self.readers:
                reader.resync(self.last)
        else:
            for message in messages:
                self._hand_out(message)

    def _hand_out(self, message: LiveMessage) -> None:
        if message.id > self.last:
            self.last = message.id
            for reader in self.readers:
                reader.offer(message)


async def history(bus: Bus, topic: str, after: int) -> tuple[bool, list[LiveMessage]]:
    """What is kept of a topic after a message, and whether that is all there was. Raises Unavailable."""
    # The message itself is asked for too: while it is there, nothing after it can be gone, for the oldest go first.
    stored = await bus.stored(_STREAM, f"{_STREAM}.{topic}", after=after - 1, limit=HISTORY + 1)
    complete = bool(stored) and stored[0].sequence == after
    if not complete:
        # Nor when everything since then is there, and the topic isn't at its limit.
        first, last = await bus.sequences(_STREAM)
        complete = first - 1 <= after <= last and len(stored) < HISTORY
    return complete, [LiveMessage(each.sequence, each.data) for each in stored if each.sequence > after]


class Subscription:
    """What one reader has yet to read. Made by `Live.subscribe`; an asynchronous iterator over messages."""

    def __init__(self, live: Live, topic: str, after: int | None) -> None:
        self.topic = topic
        self._live = live
        self._after = None if after is None else min(max(after, 1), 2**62)
        self._at: Topic | None = None
        self._waiting: deque[LiveMessage] = deque()
        self._wake = asyncio.Event()
        self._closed = False

    async def start(self) -> None:
        """Begin to listen; reading does this by itself. Raises Unavailable, TooManyReaders."""
        if self._at is not None or self._closed:
            return
        self._at = await self._live.attach(self)
        if self._after is not None:
            try:
                complete, past = await history(self._live.bus, self.topic, self._after)
            except BaseException:
                await self.aclose()
                raise
            if not complete:
                self._live.resyncs += 1
                past = [LiveMessage(past[-1].id if past else self._at.last, resync=True)]
            # What came in meanwhile may be part of the past as well.
            sent = past[-1].id if past else 0
            self._waiting = deque([*past, *(each for each in self._waiting if each.id > sent)])

    def offer(self, message: LiveMessage) -> None:
        """A message for this reader. When too many wait, they are dropped, and one that says so waits instead."""
        if len(self._waiting) >= self._live.max_queue:
            self.resync(message.id)
        else:
            self._waiting.append(message)
            self._wake.set()

    def resync(self, lost: int) -> None:
        """Everything up to this message is lost to the reader."""
        self._live.resyncs += 1
        self._waiting.clear()
        self._waiting.append(LiveMessage(lost, resync=True))
        self._wake.set()

    async def take(self, timeout: float | None = None) -> list[LiveMessage] | None:
        """All that waits, at least one message; none after so many seconds of silence, None at the end."""
        await self.start()
        if not self._waiting and not self._closed:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
        if self._closed:
            return None
        taken, self._waiting = list(self._waiting), deque()
        return taken

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LiveMessage:
        await self.start()
        while not self._waiting and not self._closed:
            self._wake.clear()
            await self._wake.wait()
        if self._closed:
            raise StopAsyncIteration
        return self._waiting.popleft()

    async def aclose(self) -> None:
        """Stop reading. May be called again."""
        self._closed = True
        self._wake.set()
        if self._at is not None:
            topic, self._at = self._at, None
            await self._live.detach(self, topic)


def _checked(topic: str) -> str:
    if not _TOPIC.fullmatch(topic):
        raise BadTopic
    return topic


def _payload(data: bytes | msgspec.Struct) -> bytes:
    payload = data if isinstance(data, bytes) else _encode(data)
    if len(payload) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(size=len(payload), limit=MAX_MESSAGE_BYTES)
    return payload


async def open_live(bus: Bus) -> Live:
    """Live updates over a bus. Raises Unavailable."""
    live = Live(bus)
    await live.open()
    return live
