"""Devices for tests: rows in the database, and connections that speak frames to the real server."""

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tenfold.contracts.messages.frames import SUBPROTOCOL

_numbers = itertools.count(1)


@dataclass
class Person:
    """An account, and the header that signs it in."""

    id: int
    token: str


async def person(stack: Any, name: str) -> Person:
    client = await stack.account(name)
    account_id = await stack.value("SELECT account_id FROM platform.account_name WHERE name = $1", name)
    return Person(int(account_id), client.headers["authorization"].removeprefix("Bearer "))


async def add_device(stack: Any, account_id: int) -> int:
    """A device with keys that nobody could use."""
    device_id = stack.process.runtime.ids.next()
    async with stack.db.transaction() as tx:
        await tx.execute(
            """INSERT INTO messages.device (account_id, id, name, identity_key, signing_key, signature,
                                            fallback_id, fallback_key, fallback_signature)
               VALUES ($1, $2, 'test', 'i', 's', 'g', 'f', 'k', 'g')""",
            account_id,
            device_id,
        )
    return int(device_id)


async def add_conversation(stack: Any, kind: str, members: Mapping[int, list[int]]) -> int:
    """A conversation of accounts, with these devices of each."""
    conversation_id = int(stack.process.runtime.ids.next())
    async with stack.db.transaction() as tx:
        await tx.execute("INSERT INTO messages.conversation (id, kind) VALUES ($1, $2)", conversation_id, kind)
        for account_id, devices in members.items():
            await tx.execute(
                "INSERT INTO messages.member (conversation_id, account_id, role) VALUES ($1, $2, 'member')",
                conversation_id,
                account_id,
            )
            await tx.execute(
                "INSERT INTO messages.membership (account_id, conversation_id) VALUES ($1, $2)",
                account_id,
                conversation_id,
            )
            for device_id in devices:
                await tx.execute(
                    "INSERT INTO messages.member_device VALUES ($1, $2, $3)", conversation_id, account_id, device_id
                )
    return conversation_id


class Line:
    """A device's connection, as the wire shows it."""

    def __init__(self, socket: ClientConnection, device_id: int) -> None:
        self.device_id = device_id
        self._socket = socket
        self._kept: list[dict[str, Any]] = []

    async def say(self, **frame: Any) -> None:
        await self._socket.send(msgspec.json.encode(frame).decode())

    async def say_raw(self, text: str | bytes) -> None:
        await self._socket.send(text)

    async def hear(self) -> dict[str, Any]:
        """The next frame."""
        return dict(msgspec.json.decode(await self._socket.recv()))

    async def expect(self, kind: str, **members: Any) -> dict[str, Any]:
        """The next frame of a kind with these members. Others that come before are kept for later."""
        for index, frame in enumerate(self._kept):
            if _fits(frame, kind, members):
                return self._kept.pop(index)
        while not _fits(frame := await self.hear(), kind, members):
            self._kept.append(frame)
        return frame

    async def quiet(self) -> list[dict[str, Any]]:
        """All frames that have come unexpected until the server answers a ping."""
        number = next(_numbers)
        await self.say(t="ping", n=number)
        while (frame := await self.hear()) != {"t": "pong", "n": number}:
            self._kept.append(frame)
        kept, self._kept = self._kept, []
        return kept

    async def send(self, conversation_id: int, to: Mapping[int, str] = {}, **members: Any) -> str:
        """Send a message, sealed for devices; its id."""
        name = members.pop("id", f"message-{next(_numbers):06}")
        envelopes = {str(device): {"type": 1, "body": body} for device, body in to.items()}
        await self.say(
            t="send",
            id=name,
            conversation=str(conversation_id),
            revision=members.pop("revision", 1),
            envelopes=envelopes,
            **members,
        )
        return str(name)

    async def ack(self, conversation_id: int, seq: int) -> None:
        await self.say(t="ack", seen={str(conversation_id): seq})

    async def closed(self) -> tuple[int, list[dict[str, Any]]]:
        """The code with which the server hangs up, and what it said before."""
        said = self._kept
        try:
            while True:
                said.append(await self.hear())
        except ConnectionClosed as error:
            return (error.rcvd.code if error.rcvd else 1006), said


def _fits(frame: dict[str, Any], kind: str, members: dict[str, Any]) -> bool:
    return frame["t"] == kind and all(frame.get(name) == value for name, value in members.items())


@asynccontextmanager
async def dial(address: str, who: Person, **options: Any) -> AsyncIterator[ClientConnection]:
    url = address.replace("http", "ws", 1) + "/messages/api/v1/socket"
    subprotocols: Any = [SUBPROTOCOL]
    headers = {"authorization": f"Bearer {who.token}"}
    # Without a bound on what waits unread, so that hanging up is heard by who doesn't read.
    bounds: Any = {"max_size": None, "max_queue": None, **options}
    async with connect(url, subprotocols=subprotocols, additional_headers=headers, **bounds) as socket:
        yield socket


@asynccontextmanager
async def line(address: str, who: Person, device_id: int, **options: Any) -> AsyncIterator[Line]:
    """A device that is connected and has caught up with nothing yet."""
    async with dial(address, who, close_timeout=1, **options) as socket:
        made = Line(socket, device_id)
        await made.say(t="hello", device=str(device_id), protocol=1)
        await made.expect("welcome")
        yield made
