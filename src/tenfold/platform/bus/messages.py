"""What goes to streams and comes from them."""

import asyncio

import msgspec

#: The id of an event that is published again under another Nats-Msg-Id, so that the stream takes it: see `replay`.
EVENT_ID = "Tenfold-Event-Id"


class Message(msgspec.Struct, frozen=True):
    """What is to be published: its subject without the namespace, and the id that makes a second publish harmless."""

    subject: str
    data: bytes
    id: str
    headers: dict[str, str] = {}


class Stored(msgspec.Struct, frozen=True):
    """What a stream keeps; subjects come without the namespace."""

    sequence: int
    subject: str
    data: bytes
    headers: dict[str, str]


class ApiError(msgspec.Struct):
    description: str = ""


class Ack(msgspec.Struct):
    """What JetStream answers to a publish. `error` says why a message is not stored."""

    duplicate: bool = False
    error: ApiError | None = None


decode_ack = msgspec.json.Decoder(Ack).decode


class Publishing:
    """The acknowledgements that one call waits for: a counter and one future, instead of a future for each message."""

    __slots__ = ("_left", "acks", "done")

    def __init__(self, count: int) -> None:
        self.acks: list[Ack] = [Ack(error=ApiError("not acknowledged"))] * count
        self.done = asyncio.get_running_loop().create_future()
        self._left = count

    def answer(self, index: int, ack: Ack) -> None:
        self.acks[index] = ack
        self._left -= 1
        if self._left == 0:
            self.finish()

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
