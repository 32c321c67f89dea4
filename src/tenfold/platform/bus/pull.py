"""What a consumer is sent: messages of its durable, asked for ahead of need, kept alive while worked on, answered."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, Header

from tenfold.platform.bus.connection import Bus
from tenfold.platform.bus.messages import EVENT_ID
from tenfold.platform.errors import Unavailable

log = structlog.get_logger(__name__)

#: Seconds that a request for messages waits at the server, and that we wait after a refusal.
REQUEST = 5.0
AFTER_REFUSAL = 1.0


class Delivery:
    """A message on its way through a consumer."""

    __slots__ = ("attempt", "event_id", "message", "sequence", "stored_at")

    def __init__(self, message: Msg) -> None:
        headers, metadata = message.headers or {}, message.metadata
        self.message = message
        self.sequence = metadata.sequence.stream
        #: How often it has been delivered by now, this time included.
        self.attempt = metadata.num_delivered
        #: Seconds since 1970.
        self.stored_at = metadata.timestamp.timestamp()
        # What somebody published by hand has no id but its place in the stream.
        self.event_id = (
            headers.get(EVENT_ID) or headers.get(Header.MSG_ID.value) or f"{metadata.stream}:{self.sequence}"
        )


class Pull:
    """The messages of one durable consumer in this process. While one batch is worked on, the next travels."""

    def __init__(self, bus: Bus, stream: str, config: ConsumerConfig, batch: int, stop: asyncio.Event) -> None:
        self._bus = bus
        self._system = stream
        self._config = config
        self._batch = batch
        self._stop = stop
        self._inbox = bus.client.new_inbox()
        self._waiting: deque[Delivery] = deque()
        self._held: set[Delivery] = set()
        self._wake = asyncio.Event()
        self._exists = False
        # The request that is out: messages still to come for it, and when the server has surely ended it.
        self._owed = 0
        self._request_ends = 0.0
        self._refused_until = 0.0

    async def take(self, linger: float) -> list[Delivery]:
        """A batch: waits for the first message, then up to `linger` seconds for more. Empty once `stop` is set."""
        clock = asyncio.get_running_loop().time
        while not self._waiting:
            if self._stop.is_set():
                return []
            await self._ask()
            await self._wait(clock() + AFTER_REFUSAL)
        until = clock() + linger
        while len(self._waiting) < self._batch and clock() < until and not self._stop.is_set():
            await self._ask()
            await self._wait(until)
        if self._stop.is_set():
            return []
        taken = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
        await self._ask()
        return taken

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """They are done. An acknowledgement that gets lost only means another delivery, which the inbox ignores."""
        for delivery in deliveries:
            await self._answer(delivery, Msg.Ack.Ack)

    async def nak(self, delivery: Delivery, delay: float = 0.0) -> None:
        """Deliver it again, after so many seconds."""
        nak = b'-NAK {"delay": %d}' % int(delay * 1e9) if delay else Msg.Ack.Nak
        await self._answer(delivery, nak)

    async def term(self, delivery: Delivery) -> None:
        """Never deliver it again."""
        await self._answer(delivery, Msg.Ack.Term)

    async def _answer(self, delivery: Delivery, word: bytes) -> None:
        self._held.discard(delivery)
        with suppress(nats.errors.Error):
            await self._bus.client.publish(delivery.message.reply, word)

    async def _ask(self) -> None:
        """Have the server send another batch, unless it is at it."""
        now = asyncio.get_running_loop().time()
        asked = self._owed > 0 and now < self._request_ends
        if asked or len(self._waiting) >= self._batch or now < self._refused_until or not self._bus.connected:
            if self._bus.client.is_closed:
                raise Unavailable(part="The event bus")
            return
        try:
            if not self._exists:
                await self._bus.ensure_consumer(self._system, self._config)
                self._exists = True
            name = f"{self._bus.stream(self._system)}.{self._config.name}"
            request = b'{"batch": %d, "expires": %d}' % (self._batch, int(REQUEST * 1e9))
            await self._bus.client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{name}", request, self._inbox)
        except (Unavailable, nats.errors.Error) as error:
            self._refused_until = now + AFTER_REFUSAL
            log.warning("consumer_waits", consumer=self._config.name, error=str(error))
        else:
            self._owed, self._request_ends = self._batch, now + REQUEST + AFTER_REFUSAL

    async def _wait(self, until: float) -> None:
        self._wake.clear()
        if not self._stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._wake.wait()

    async def _arrived(self, message: Msg) -> None:
        status = (message.headers or {}).get(Header.STATUS.value)
        if status is None:
            delivery = Delivery(message)
            self._waiting.append(delivery)
            self._held.add(delivery)
            self._owed -= 1
        else:
            self._owed = 0
            if status not in ("404", "408"):  # no messages, and the end of a request: both are as it should be
                self._exists = False
                self._refused_until = asyncio.get_running_loop().time() + AFTER_REFUSAL
        self._wake.set()

    async def _reconnected(self) -> None:
        self._owed = 0
        self._wake.set()

    async def _watch_stop(self) -> None:
        await self._stop.wait()
        self._wake.set()

    async def _keep_alive(self) -> None:
        """Tell the server that what we hold is being worked on, or else it delivers it to somebody else."""
        while True:
            await asyncio.sleep((self._config.ack_wait or 30.0) / 3)
            for delivery in tuple(self._held):
                with suppress(nats.errors.Error):
                    await self._bus.client.publish(delivery.message.reply, Msg.Ack.Progress)


@asynccontextmanager
async def pulling(
    bus: Bus, system: str, name: str, subjects: Sequence[str], *, batch: int, ack_wait: float, stop: asyncio.Event
) -> AsyncIterator[Pull]:
    """Messages for one durable consumer of a system's stream; all processes that name it share them."""
    config = ConsumerConfig(
        name=name,
        durable_name=name,
        filter_subjects=[bus.subject(subject) for subject in subjects],
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait,
        # When to give up is decided where the reason is known: see `run_consumer`.
        max_deliver=-1,
        max_ack_pending=max(1000, 20 * batch),
    )
    pull = Pull(bus, system, config, batch, stop)
    end_listening = await bus.listen(pull._inbox, pull._arrived)
    end_reconnects = bus.on_reconnect(pull._reconnected)
    tasks = asyncio.create_task(pull._watch_stop()), asyncio.create_task(pull._keep_alive())
    try:
        yield pull
    finally:
        for task in tasks:
            task.cancel()
        end_reconnects()
        await end_listening()
        # What nobody here will work on goes to others at once.
        for delivery in tuple(pull._held):
            await pull.nak(delivery)
