"""What a browser is sent of a topic: server-sent events, or the frames of a WebSocket."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from tenfold.platform.live.topics import LiveMessage, Subscription

#: Seconds of silence after which a sign of life is sent, so that nothing between us and the reader hangs up.
HEARTBEAT = 15.0


async def sse(subscription: Subscription, *, heartbeat: float = HEARTBEAT) -> AsyncIterator[bytes]:
    """The body of a text/event-stream, closing the subscription at its end.

    Messages come as events without a name, with their ids, so that a browser's EventSource resumes by itself; a loss
    as an event named `resync`; silence as a comment every `heartbeat` seconds.
    """
    async with aclosing(subscription):
        await subscription.start()
        yield b"retry: 2000\n: live\n\n"  # something at once, so that proxies pass on the head
        while (messages := await subscription.take(heartbeat)) is not None:
            yield b"".join(map(_event, messages)) or b": still here\n\n"


def _event(message: LiveMessage) -> bytes:
    if message.resync:
        return b"event: resync\nid: %d\ndata: {}\n\n" % message.id  # browsers pass over events without data
    data = b"".join(b"data: %s\n" % line for line in message.data.splitlines())
    return b"id: %d\n%s\n" % (message.id, data)


async def frames(subscription: Subscription, *, heartbeat: float = HEARTBEAT) -> AsyncIterator[str]:
    """The text frames of a WebSocket, closing the subscription at its end.

    {"id": 1, "data": ...}, {"id": 1, "resync": true}, and in silence {} every `heartbeat` seconds. Who comes back says
    the last id.
    """
    async with aclosing(subscription):
        while (messages := await subscription.take(heartbeat)) is not None:
            for message in messages:
                rest = '"resync":true' if message.resync else f'"data":{message.data.decode()}'
                yield f'{{"id":{message.id},{rest}}}'
            if not messages:
                yield "{}"
