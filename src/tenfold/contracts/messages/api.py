"""The HTTP part of the protocol, typed."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from tenfold.contracts.messages import entities

PREFIX = "/messages/api/v1"
#: Bytes of an answer: a part of a backup is the longest.
MOST_ANSWER = 64 * 1024 * 1024


class Refused(Exception):
    """The server said no. `code` is what programs go by."""

    def __init__(self, status: int, code: str, detail: str, retry_after: float | None = None) -> None:
        self.status = status
        self.code = code
        self.retry_after = retry_after
        super().__init__(f"{code}: {detail}")


class Problem(msgspec.Struct):
    """RFC 9457, as far as it is used here."""

    code: str = "unknown"
    detail: str = ""


class Api:
    """Requests of one account. Raises Refused, aiohttp.ClientError, TimeoutError."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address.rstrip("/")
        self.token = token
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"authorization": f"Bearer {self.token}"}
            self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(60, sock_connect=10))
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(
        self, method: str, path: str, body: object = None, *, data: bytes | None = None, headers: Any = None
    ) -> bytes:
        """One request; the body of its answer."""
        content, kind = data, "application/octet-stream"
        if body is not None:
            content, kind = msgspec.json.encode(body), "application/json"
        own = {"content-type": kind} if content is not None else {}
        url = f"{self.address}{PREFIX}{path}"
        async with self.session.request(method, url, data=content, headers={**own, **(headers or {})}) as answer:
            found = bytearray()
            async for chunk in answer.content.iter_chunked(65_536):
                found += chunk
                if len(found) > MOST_ANSWER:
                    raise aiohttp.ClientPayloadError("the answer is too long")
            if answer.status < 400:
                return bytes(found)
            raise _refusal(answer, found)

    async def stream(self, path: str, chunk: int) -> AsyncIterator[bytes]:
        """What an address holds, a bit at a time."""
        async with self.session.get(f"{self.address}{PREFIX}{path}") as answer:
            if answer.status >= 400:
                raise _refusal(answer, await answer.content.read(65_536))
            async for data in answer.content.iter_chunked(chunk):
                yield data

    async def get[T](self, kind: type[T], path: str) -> T:
        return msgspec.json.decode(await self.call("GET", path), type=kind)

    async def post[T](self, kind: type[T], path: str, body: object = None) -> T:
        return msgspec.json.decode(await self.call("POST", path, body), type=kind)

    async def me(self) -> entities.Mine:
        return await self.get(entities.Mine, "/me")

    async def add_device(self, device: entities.AddDevice) -> entities.OwnDevice:
        return await self.post(entities.OwnDevice, "/devices", device)

    async def devices(self) -> list[entities.OwnDevice]:
        return await self.get(list[entities.OwnDevice], "/devices")

    async def claim(self, devices: Sequence[str]) -> entities.ClaimedKeys:
        return await self.post(entities.ClaimedKeys, "/keys/claim", entities.ClaimKeys(devices=devices))

    async def conversation(self, conversation: str) -> entities.Conversation:
        return await self.get(entities.Conversation, f"/conversations/{conversation}")

    async def conversations(self) -> list[entities.Conversation]:
        """All of them."""
        found: list[entities.Conversation] = []
        after: str | None = ""
        while after is not None:
            page = await self.get(
                entities.Conversations, f"/conversations?after={after}" if after else "/conversations"
            )
            found += page.conversations
            after = page.next
        return found

    async def people(self, name: str) -> list[entities.Person]:
        return msgspec.json.decode(
            await self.call("GET", f"/people?name={quote(name, safe='')}"), type=list[entities.Person]
        )


def _refusal(answer: aiohttp.ClientResponse, body: bytes | bytearray) -> Refused:
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.MsgspecError:
        problem = Problem()
    wait = answer.headers.get("retry-after", "")
    return Refused(answer.status, problem.code, problem.detail, float(wait) if wait.isdecimal() else None)
