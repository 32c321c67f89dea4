"""A client of messages: `async with Client(address, token, folder) as client`. docs/messages-protocol.md in code.

What is sent is kept first and goes out when there is a connection; what comes in is opened and kept before it is
acknowledged. Both survive the death of the program at any line. One program at a time may use a folder.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Self

import aiohttp
import msgspec
import structlog

from tenfold.contracts.messages import content as contents
from tenfold.contracts.messages import entities, files, frames
from tenfold.contracts.messages.connection import Connection, NotSent
from tenfold.contracts.messages.content import Content, To
from tenfold.contracts.messages.entities import Conversation
from tenfold.contracts.messages.incoming import Incoming, Received
from tenfold.contracts.messages.outgoing import Outgoing
from tenfold.contracts.messages.safety import safety_number

log = structlog.get_logger(__name__)

#: Below so many one-time keys at the server, some are added.
FEW_KEYS = 20
#: Seconds until what was gathered is acknowledged.
ACK_AFTER = 0.02
#: Bytes of a frame of the server.
MOST_FRAME = 4 * 1024 * 1024
#: Rows that are read of what is kept at a time.
PAGE = 200

_decode = msgspec.json.Decoder(frames.FromServer).decode
_encode = msgspec.json.encode

type Listener = Callable[[frames.FromServer], None]


class Client(Connection):
    """One device of one account."""

    async def __aenter__(self) -> Self:
        """Register the device if it isn't, and connect from now on. Raises Refused, aiohttp.ClientError."""
        try:
            await self._register()
        except BaseException:
            await self.api.close()
            self._keep.close()
            raise
        self._incoming = Incoming(self._keep, self._crypto, self.device)
        self._outgoing = Outgoing(self._keep, self._crypto, self.account, self.device)
        self._running = asyncio.create_task(self._run(), name="messages-client")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        await self.api.close()
        self._keep.close()

    # What people do.

    async def people(self, name: str) -> list[entities.Person]:
        """People by the beginning of their name."""
        return await self.api.people(name)

    async def direct(self, account: str) -> str:
        """The conversation with somebody, begun where there is none yet."""
        return await self._begin(entities.Begin(kind="direct", accounts=[account]))

    async def group(self, accounts: Sequence[str], name: str = "") -> str:
        """A new group. Its name is told in a message, which the server can't read."""
        key = os.urandom(16).hex()
        conversation = await self._begin(entities.Begin(kind="group", accounts=accounts, key=key))
        if name:
            self.send(conversation, contents.About(name=name))
        return conversation

    async def _begin(self, asked: entities.Begin) -> str:
        return (await self.api.post(Conversation, "/conversations", asked)).id

    async def conversations(self) -> list[Conversation]:
        return await self.api.conversations()

    async def add(self, conversation: str, accounts: Sequence[str]) -> None:
        """Bring people into a group. They get what is said from then on."""
        await self.api.call("POST", f"/conversations/{conversation}/members", entities.AddMembers(accounts=accounts))
        self._places.pop(conversation, None)

    async def remove(self, conversation: str, account: str) -> None:
        """Take somebody out of a group; oneself, to leave."""
        await self.api.call("DELETE", f"/conversations/{conversation}/members/{account}")
        self._places.pop(conversation, None)

    def send(self, conversation: str, content: Content, *, expires: int = 0, quiet: bool = False) -> str:
        """Say something. It is kept until the server has it. Its id."""
        name = self._outgoing.queue(conversation, content, expires=expires, quiet=quiet)
        self._wake.set()
        return name

    def say(self, conversation: str, text: str, *, reply_to: To | None = None) -> str:
        """Say something in words."""
        return self.send(conversation, contents.Text(text=text, reply_to=reply_to or msgspec.UNSET))

    async def sent(self, name: str) -> Received:
        """Wait until the server has a message. Raises NotSent, DeviceEnded."""

        def there() -> bool:
            return self.ended is not None or name in self._refused or self._find(name) is not None

        async with self._changed:
            await self._changed.wait_for(there)
        found = self._find(name)
        if found is not None:
            return found
        raise self._refused.pop(name, None) or self.ended or NotSent("unknown")

    async def all_sent(self) -> None:
        """Wait until the server has everything. Raises DeviceEnded."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.ended is not None or not self._outgoing.waiting)
        if self.ended is not None:
            raise self.ended

    async def messages(self, after: int = 0) -> AsyncIterator[tuple[int, Received]]:
        """All messages that are kept here, in the order in which they came, and those that come, without end.

        With each comes a number to begin after. Messages that couldn't be opened come again once they are, under
        number 0. Raises DeviceEnded.
        """
        while True:
            rows = self._keep.rows("SELECT * FROM message WHERE n > ? ORDER BY n LIMIT ?", after, PAGE)
            for row in rows:
                after = row[0]
                yield after, _read_row(row)
            while self._opened:
                yield 0, self._opened.pop(0)
            if rows:
                continue
            async with self._changed:
                await self._changed.wait_for(partial(self._more, after))
            if self.ended is not None and self._newest() <= after:
                raise self.ended

    def _more(self, after: int) -> bool:
        return self.ended is not None or bool(self._opened) or self._newest() > after

    async def read(self, conversation: str, seq: int) -> None:
        """Everything up to there was read. Told to others as far as one has decided."""
        await self._say(frames.Read(conversation=conversation, seq=seq))

    async def typing(self, conversation: str, *, on: bool) -> None:
        await self._say(frames.Typing(conversation=conversation, on=on))

    async def watch(self, accounts: Sequence[str]) -> None:
        """Be told who of them is there, by `presence` frames to the listeners."""
        await self._say(frames.Watch(accounts=accounts))

    async def safety_number(self, account: str) -> str:
        """60 digits to compare with somebody with whom there is a conversation."""
        place = await self.api.conversation(await self.direct(account))
        self._learn(place)
        keys: dict[str, list[str]] = {self.account: [], account: []}
        for device in place.devices:
            keys[device.account].append(device.signing_key)
        return safety_number((self.account, keys[self.account]), (account, keys[account]))

    async def send_file(self, conversation: str, name: str, kind: str, data: bytes, *, text: str = "") -> str:
        """Seal a file, upload it and say so. The id of the message."""
        sealed = await asyncio.to_thread(files.seal, data)
        upload = await self.api.post(entities.Upload, "/media", entities.BeginUpload(size=len(sealed.data)))
        for n, at in enumerate(range(0, len(sealed.data), upload.part)):
            await self._retried(upload.id, n, sealed.data[at : at + upload.part])
        await self.api.call("POST", f"/media/{upload.id}/finish")
        return self.send(
            conversation,
            contents.File(
                name=name,
                type=kind,
                size=len(data),
                key=sealed.key,
                iv=sealed.iv,
                sha256=sealed.sha256,
                upload=upload.id,
                part=sealed.part,
                text=text,
            ),
        )

    async def _retried(self, upload: str, n: int, data: bytes) -> None:
        for attempt in range(5):
            try:
                await self.api.call("PUT", f"/media/{upload}/parts/{n}", data=data)
            except (aiohttp.ClientError, TimeoutError):
                if attempt == 4:
                    raise
                await asyncio.sleep(2**attempt)
            else:
                return

    async def fetch_file(self, file: contents.File) -> bytes:
        """A file that somebody sent. Raises files.FileBroken, Refused."""
        data = await self.api.call("GET", f"/media/{file.upload}")
        return await asyncio.to_thread(files.unseal, files.Sealed(data, file.key, file.iv, file.sha256, file.part))

    def _newest(self) -> int:
        found = self._keep.one("SELECT max(n) FROM message")
        return int(found[0] or 0) if found else 0

    def _find(self, name: str) -> Received | None:
        row = self._keep.one("SELECT * FROM message WHERE id = ? AND device = ?", name, self.device)
        return None if row is None else _read_row(row)


def _read_row(row: Sequence[object]) -> Received:
    _, conversation, seq, name, account, device, at, content, why, _ = row
    shown = contents.Unopened(str(why)) if content is None else contents.decode(bytes(content))  # type: ignore[call-overload]
    return Received(str(conversation), int(seq), str(name), str(account), str(device), int(at), shown)  # type: ignore[call-overload]
