"""The connection of one process to NATS: streams, acknowledged and pipelined publishes, broadcasts."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import batched
from urllib.parse import unquote, urlsplit

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client, Server
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import ConsumerConfig, Header, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError
from nats.nuid import NUID

from tenfold.platform.bus.events import Event, encode, system_of
from tenfold.platform.bus.messages import Ack, ApiError, Message, Publishing, Stored, decode_ack
from tenfold.platform.errors import Unavailable
from tenfold.platform.settings import Settings
from tenfold.platform.telemetry import span, trace_headers

log = structlog.get_logger(__name__)

#: Seconds that opening, and each publish, may take.
CONNECT_TIMEOUT = 20.0
PUBLISH_TIMEOUT = 5.0
#: Seconds in which a stream takes a second message of the same id for the same message. Later ones meet the inbox.
DUPLICATE_WINDOW = 120.0
#: Publishes of one call that may wait for their acknowledgements.
IN_FLIGHT = 1000

_NAME_IN_USE, _NO_STORAGE, _NO_MEMORY = 10058, 10047, 10028


class Bus:
    """Events between systems, and words between processes. Made by `open_bus`.

    Every subject and stream begins with the namespace of the settings, so that installations and tests share a server
    without meeting. While the server is away everything here raises Unavailable at once, and the connection comes back
    by itself.
    """

    def __init__(self, settings: Settings) -> None:
        self.client = Client()
        self.settings = settings
        self._prefix = f"{settings.namespace}."
        self._js = self.client.jetstream(timeout=PUBLISH_TIMEOUT)
        self._ids = NUID()
        # Streams known to be as they should, and systems whose streams are of interest here.
        self._streams: set[str] = set()
        self._systems: set[str] = set()
        self._publishing: dict[str, Publishing] = {}
        self._acks_to = ""
        self._on_reconnect: list[Callable[[], Awaitable[None]]] = []
        self._closing = False

    @property
    def connected(self) -> bool:
        return bool(self.client.is_connected)

    def new_id(self) -> str:
        """An id that no other event has."""
        return self._ids.next().decode()

    def subject(self, name: str) -> str:
        """The subject on the wire."""
        return self._prefix + name

    def bare(self, subject: str) -> str:
        """A subject of the wire without the namespace."""
        return subject.removeprefix(self._prefix)

    def stream(self, name: str) -> str:
        """The name of a stream at the server."""
        return f"{self.settings.namespace}-{name}"

    async def publish(self, event: Event, *, id: str | None = None) -> bool:
        """Store an event. False when its stream has one of this id already.

        Raises Unavailable when the server has not said that it is stored; with the same id it is safe to try again.
        """
        return await self.publish_many([event], ids=None if id is None else [id]) == 1

    async def publish_many(self, events: Sequence[Event], *, ids: Sequence[str] | None = None) -> int:
        """Store events, pipelined: 1,000 wait for their acknowledgements together. How many were new.

        Raises Unavailable unless all are stored; with the same ids it is safe to try all again.
        """
        ids = ids or [self.new_id() for _ in events]
        with span("bus.publish"):
            trace = trace_headers()
            messages = [
                Message(event.subject, encode(event), each, trace) for event, each in zip(events, ids, strict=True)
            ]
            acks = await self.publish_messages(messages)
        for ack in acks:
            if ack.error is not None:
                raise refused(ack.error.description)
        return sum(not ack.duplicate for ack in acks)

    async def publish_messages(self, messages: Sequence[Message]) -> list[Ack]:
        """Store messages; an answer for each, in order. Raises Unavailable when there is no server to begin with."""
        self._require()
        for system in {system_of(message.subject) for message in messages} - self._streams:
            await self.ensure_stream(system)
        acks: list[Ack] = []
        for some in batched(messages, IN_FLIGHT):
            acks += await self._publish(some)
        return acks

    async def _publish(self, messages: Sequence[Message]) -> list[Ack]:
        key, publishing = self.new_id(), Publishing(len(messages))
        self._publishing[key] = publishing
        try:
            # What can't be sent is not acknowledged either, and the acknowledgements tell.
            with suppress(TimeoutError, nats.errors.Error):
                for index, message in enumerate(messages):
                    headers = {Header.MSG_ID.value: message.id, **message.headers}
                    reply = f"{self._acks_to}.{key}.{index}"
                    await self.client.publish(self.subject(message.subject), message.data, reply, headers)
                # Only here: the client swallows a cancellation that meets it while it sends.
                async with asyncio.timeout(PUBLISH_TIMEOUT):
                    await publishing.done
        finally:
            del self._publishing[key]
        return publishing.acks

    async def _acknowledged(self, reply: Msg) -> None:
        _, key, index = reply.subject.rsplit(".", 2)
        if publishing := self._publishing.get(key):
            # Empty: nobody listens on that subject, so the stream was deleted. The next publish makes it again.
            if not reply.data:
                self._streams.clear()
            publishing.answer(int(index), decode_ack(reply.data) if reply.data else Ack(error=ApiError("no stream")))

    async def ensure_stream(self, system: str) -> None:
        """The stream of a system, on files, with the limits of the settings; publishing does this by itself.

        Events leave it by age and size, not when they were consumed: a new consumer begins with what is there.
        """
        config = StreamConfig(
            storage=StorageType.FILE,
            max_age=self.settings.events_max_age,
            max_bytes=self.settings.events_max_bytes,
            duplicate_window=min(DUPLICATE_WINDOW, self.settings.events_max_age),
        )
        await self.ensure(system, config)
        self._systems.add(system)

    async def ensure(self, name: str, config: StreamConfig) -> None:
        """The stream of all subjects that begin with a name: made when missing, changed when it is not like this.

        Replicas and placement stay as they are. The server sets max_bytes aside for each stream; where it hasn't got
        that much, the stream gets what fits.
        """
        if name in self._streams:
            return
        self._require()
        config = config.evolve(name=self.stream(name), subjects=[self.subject(f"{name}.>")])
        while True:
            try:
                await self._create_or_update(config)
            except APIError as error:
                config.max_bytes = (config.max_bytes or 0) // 2
                if error.err_code not in (_NO_STORAGE, _NO_MEMORY) or config.max_bytes < 1024 * 1024:
                    raise refused(error.description) from error
                log.warning("stream_gets_less", stream=config.name, max_bytes=config.max_bytes)
            except nats.errors.Error as error:
                raise Unavailable(part="The event bus") from error
            else:
                self._streams.add(name)
                return

    async def _create_or_update(self, config: StreamConfig) -> None:
        try:
            await self._js.add_stream(config)
        except APIError as error:
            if error.err_code != _NAME_IN_USE:
                raise
            there = (await self._js.stream_info(config.name or "")).config
            kept = {name: getattr(there, name) for name in ("num_replicas", "placement", "first_seq")}
            await self._js.update_stream(config, **kept)

    async def ensure_consumer(self, system: str, config: ConsumerConfig) -> None:
        """A durable consumer of a system's stream: made when missing, changed when it is not like this."""
        await self.ensure_stream(system)
        try:
            await self._js.add_consumer(self.stream(system), config)
        except APIError as error:
            self._streams.discard(system)
            raise refused(error.description) from error
        except nats.errors.Error as error:
            raise Unavailable(part="The event bus") from error

    async def stored(self, stream: str, subject: str, *, after: int = 0, limit: int = 256) -> list[Stored]:
        """What a stream keeps of a subject (may have wildcards) beyond a sequence number, oldest first."""
        wanted = {"seq": after + 1, "next_by_subj": self.subject(subject), "batch": limit}
        found: list[Stored] = []
        with _outages():
            async for reply in self._replies(f"$JS.API.DIRECT.GET.{self.stream(stream)}", wanted):
                headers = reply.headers or {}
                if status := headers.get(Header.STATUS.value):
                    if status not in ("204", "404"):  # the end of the batch; there is none
                        raise Unavailable(part="The event bus")
                    break
                name = self.bare(headers["Nats-Subject"])
                found.append(Stored(int(headers["Nats-Sequence"]), name, reply.data, headers))
        return found

    async def sequences(self, stream: str) -> tuple[int, int]:
        """The numbers of the oldest message that a stream keeps, and of the newest it has taken.

        When it keeps none, the first is one more than the second.
        """
        self._require()
        with _outages():
            state = (await self._js.stream_info(self.stream(stream))).state
        return state.first_seq, state.last_seq

    async def count_subjects(self, stream: str) -> dict[str, int]:
        """How many messages a stream keeps of each subject; of the first 100,000 subjects."""
        self._require()
        with _outages():
            info = await self._js.stream_info(self.stream(stream), subjects_filter=">")
        return {self.bare(subject): count for subject, count in (info.state.subjects or {}).items()}

    async def delete_stored(self, stream: str, sequence: int) -> None:
        """Remove a message from a stream, if it is there."""
        self._require()
        with _outages(), suppress(NotFoundError):
            await self._js.delete_msg(self.stream(stream), sequence)

    async def _replies(self, subject: str, request: object) -> AsyncIterator[Msg]:
        """Every reply to one request, each of which must come in time."""
        self._require()
        queue: asyncio.Queue[Msg] = asyncio.Queue()
        inbox = self.client.new_inbox()
        subscription = await self.client.subscribe(inbox, cb=queue.put)
        try:
            await self.client.publish(subject, msgspec.json.encode(request), inbox)
            while True:
                async with asyncio.timeout(PUBLISH_TIMEOUT):
                    reply = await queue.get()
                yield reply
        finally:
            await unsubscribe(subscription)

    async def send(self, subject: str, data: bytes) -> bool:
        """Say something to whoever listens now, unacknowledged. False when there is no server to say it to."""
        if not self.connected:
            return False
        try:
            await self.client.publish(self.subject(subject), data)
        except nats.errors.Error:
            return False
        return True

    async def broadcast(self, subject: str, data: bytes = b"") -> None:
        """Tell all processes, at most once: for hints such as "forget this key".

        Who was disconnected has missed it: see `on_reconnect`. Raises Unavailable.
        """
        if not await self.send(f"_broadcast.{subject}", data):
            raise Unavailable(part="The event bus")

    async def on_broadcast(
        self, subject: str, handler: Callable[[bytes], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        """Hear the broadcasts of a subject, this process's own too. What comes back ends it."""

        async def heard(message: Msg) -> None:
            await handler(message.data)

        return await self.listen(self.subject(f"_broadcast.{subject}"), heard)

    async def listen(
        self, subject: str, handler: Callable[[Msg], Awaitable[None]], *, pending: int = 65_536
    ) -> Callable[[], Awaitable[None]]:
        """Subscribe to a subject as it is on the wire. What comes back unsubscribes.

        When more than `pending` messages wait to be handled, further ones are dropped.
        """
        with _outages():
            subscription = await self.client.subscribe(subject, cb=handler, pending_msgs_limit=pending)
        return lambda: unsubscribe(subscription)

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> Callable[[], None]:
        """Call this after each reconnection: whatever was said meanwhile was missed. What comes back ends it."""
        self._on_reconnect.append(callback)
        return lambda: self._on_reconnect.remove(callback)

    async def backlog(self) -> dict[str, int]:
        """Events that each consumer has yet to finish, of the systems whose streams this process has ensured."""
        counts: dict[str, int] = {}
        self._require()
        with _outages():
            for system in sorted(self._systems):
                for info in await self._js.consumers_info(self.stream(system)):
                    counts[info.name] = (info.num_pending or 0) + (info.num_ack_pending or 0)
        return counts

    async def ping(self) -> None:
        """Does JetStream answer? For readiness. Raises Unavailable."""
        self._require()
        with _outages():
            await self._js.account_info()

    async def drop(self) -> None:
        """Delete every stream of the namespace, with all events: for tests."""
        self._streams.clear()
        with suppress(NotFoundError):
            while True:
                await self._js.delete_stream(await self._js.find_stream_name_by_subject(self.subject(">")))

    async def close(self) -> None:
        """Send what waits to be sent, and leave."""
        self._closing = True
        if self.connected:
            with suppress(nats.errors.Error):
                await self.client.flush(timeout=2)
        await self.client.close()

    def _require(self) -> None:
        if not self.connected:
            raise Unavailable(part="The event bus")

    async def _connect(self, url: str) -> None:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        user_info, _, hosts = parts.netloc.rpartition("@")
        user, _, password = (unquote(part) for part in user_info.partition(":"))
        await self.client.connect(
            [f"{parts.scheme}://{host}" for host in hosts.split(",")],
            user=user if password else None,
            password=password or None,
            token=None if password else user or None,
            name="tenfold",
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            reconnect_to_server_handler=_next_server,
            ping_interval=10,
            flush_timeout=PUBLISH_TIMEOUT,
            error_cb=self._failed,
            disconnected_cb=self._disconnected,
            reconnected_cb=self._reconnected,
            closed_cb=self._closed,
        )
        self._acks_to = self.client.new_inbox()
        await self.client.subscribe(f"{self._acks_to}.*.*", cb=self._acknowledged)

    async def _failed(self, error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            log.warning("nats_messages_dropped", subject=error.subject)
        elif isinstance(error, (nats.errors.Error, OSError, TimeoutError)):
            log.debug("nats_error", error=repr(error))
        else:
            log.error("nats_handler_failed", exc_info=error)

    async def _disconnected(self) -> None:
        for publishing in self._publishing.values():
            publishing.finish()
        if not self._closing:
            log.warning("nats_unreachable")

    async def _reconnected(self) -> None:
        log.info("nats_back")
        self._streams.clear()  # those in memory may be gone
        for callback in tuple(self._on_reconnect):
            try:
                await callback()
            except Exception:
                log.exception("nats_reconnect_callback_failed")

    async def _closed(self) -> None:
        if not self._closing:
            log.error("nats_closed")  # the server refuses us for good: not ready any more, see `ping`


async def unsubscribe(subscription: Subscription) -> None:
    """End a subscription, whatever state the connection is in."""
    with suppress(nats.errors.Error):
        await subscription.unsubscribe()


def refused(reason: str | None) -> Unavailable:
    """What to raise when the server is there and says no. The reason is for the log; a stranger has no use for it."""
    log.error("nats_refused", reason=reason)
    return Unavailable(part="The event bus")


@contextmanager
def _outages() -> Iterator[None]:
    try:
        yield
    except (nats.errors.Error, TimeoutError) as error:
        raise Unavailable(part="The event bus") from error


def _next_server(servers: list[Server], _: object) -> tuple[Server, float]:
    """The server tried least, after 50 ms doubled with each try up to 5 s, less up to a half so that clients spread."""
    server = min(servers, key=lambda server: server.reconnects)
    return server, min(0.05 * 2**server.reconnects, 5.0) * random.uniform(0.5, 1.0)


async def open_bus(settings: Settings) -> Bus:
    """Connect to `settings.nats_url`: nats://[user:password@]host[:4222][,host...] or tls://. Raises Unavailable."""
    if settings.nats_url is None:
        raise Unavailable(part="NATS (no embedded engine runs on this data; `tenfold up` starts one)")
    bus = Bus(settings)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await bus._connect(settings.nats_url.reveal())
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise Unavailable(part="The event bus") from error
    return bus
