"""A real server, and clients of its people."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tenfold.contracts.messages.client import Client
from tenfold.contracts.messages.content import Text
from tenfold.contracts.messages.incoming import Received


class Town:
    """A server, and clients of its people."""

    def __init__(self, stack: Any, address: str, folder: Path, open_: AsyncExitStack) -> None:
        self.stack = stack
        self.address = address
        self.folder = folder
        self._open = open_
        self._tokens: dict[str, str] = {}

    async def client(self, name: str, device: str = "one", *, address: str = "") -> Client:
        return await self._open.enter_async_context(await self.made(name, device, address=address))

    async def made(self, name: str, device: str = "one", *, address: str = "") -> Client:
        return Client(address or self.address, await self.token(name), self.folder / name / device)

    async def token(self, name: str) -> str:
        if name not in self._tokens:
            http = await self.stack.account(name)
            self._tokens[name] = http.headers["authorization"].removeprefix("Bearer ")
        return self._tokens[name]


async def heard(client: Client, count: int, after: int = 0) -> list[Received]:
    """The first messages that a client has, once there are so many."""
    found: list[Received] = []
    async with asyncio.timeout(20):
        async for _, message in client.messages(after):
            found.append(message)
            if len(found) == count:
                break
    return found


def words(messages: list[Received]) -> list[str]:
    return [
        message.content.text if isinstance(message.content, Text) else repr(message.content) for message in messages
    ]
