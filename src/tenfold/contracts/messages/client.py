"""A client of messages: `async with Client(address, token, folder) as client`. docs/messages-protocol.md in code.

What is sent is kept first and goes out when there is a connection; what comes in is opened and kept before it is
acknowledged. Both survive the death of the program at any line. One program at a time may use a folder.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

import msgspec

from tenfold.contracts.messages import content as contents
from tenfold.contracts.messages import entities, frames
from tenfold.contracts.messages.connection import Connection, NotSent
from tenfold.contracts.messages.content import Content, To
from tenfold.contracts.messages.entities import Conversation
from tenfold.contracts.messages.history import Line, Title, lines, title
from tenfold.contracts.messages.incoming import Incoming, Received, kept
from tenfold.contracts.messages.media import Media
from tenfold.contracts.messages.outgoing import Outgoing
from tenfold.contracts.messages.past import Past
from tenfold.contracts.messages.safety import safety_number

#: Rows that are read of what is kept at a time, and messages of a conversation that its history looks back on.
PAGE, LOOK_BACK = 200, 10_000


class Client(Connection):
    """One device of one account."""

    media: Media
    past: Past

    async def __aenter__(self) -> Self:
        """Register the device if it isn't, and connect from now on. Raises Refused, aiohttp.ClientError, ValueError."""
        try:
            await self._register()
        except BaseException:
            await self.api.close()
            self._keep.close()
            raise
        self._incoming = Incoming(self._keep, self._crypto, self.device)
        self._outgoing = Outgoing(self._keep, self._crypto, self.account, self.device)
        self.media = Media(self.api, self._keep)
        self.past = Past(self.api, self._keep, self._crypto, self._incoming)
        self._keep.forget()
        self._running = asyncio.create_task(self._run(), name="messages-client")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        await self.api.close()
        self._keep.close()

    # People and conversations. All raise Refused, aiohttp.ClientError and TimeoutError.

    async def people(self, name: str) -> list[entities.Person]:
        """People by the beginning of their name."""
        return await self.api.people(name)

    async def block(self, account: str, *, blocked: bool = True) -> None:
        """Take nothing from somebody any more, or again."""
        await self.api.call("PUT" if blocked else "DELETE", f"/people/{account}/block")

    async def report(self, report: entities.Report) -> None:
        """Tell whoever runs the server of somebody's misconduct. What is quoted is all that they can read."""
        await self.api.call("POST", "/reports", report)

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
        return self._learn(await self.api.post(Conversation, "/conversations", asked)).id

    async def conversations(self) -> list[Conversation]:
        """All of one's own, without their devices."""
        found = await self.api.conversations()
        for place in found:
            self._learn(place)
        return found

    async def add(self, conversation: str, accounts: Sequence[str]) -> None:
        """Bring people into a group. They get what is said from then on."""
        await self.api.call("POST", f"/conversations/{conversation}/members", entities.AddMembers(accounts=accounts))
        self._places.pop(conversation, None)

    async def remove(self, conversation: str, account: str) -> None:
        """Take somebody out of a group; oneself, to leave."""
        await self.api.call("DELETE", f"/conversations/{conversation}/members/{account}")
        self._places.pop(conversation, None)

    async def change_role(self, conversation: str, account: str, role: entities.Role) -> None:
        """Make a member of a group an admin, or an admin a member."""
        asked = entities.ChangeMember(role=role)
        await self.api.call("PATCH", f"/conversations/{conversation}/members/{account}", asked)
        self._places.pop(conversation, None)

    async def invite(self, conversation: str) -> entities.Invite:
        """A code that lets people into a group. The one before is good no more."""
        return await self.api.post(entities.Invite, f"/conversations/{conversation}/invite")

    async def join(self, code: str) -> str:
        """Come into a group. Its id. Raises ValueError for what is no code."""
        if not code.isalnum() and not all(each.isalnum() or each in "-_" for each in code):
            raise ValueError("this is no code")
        return self._learn(await self.api.post(Conversation, f"/invites/{code}/accept")).id

    # What is said. It is kept at once, and sent when that may be.

    def send(self, conversation: str, content: Content, *, expires: int | None = None, quiet: bool = False) -> str:
        """Say something. It is kept until the server has it. Its id. Raises ValueError for what is out of bounds.

        `expires`: seconds after which it disappears; None: as the conversation has it.
        """
        if expires is None:
            expires = self.title(conversation).expires if isinstance(content, contents.Text | contents.File) else 0
        name = self._outgoing.queue(conversation, content, expires=expires, quiet=quiet)
        self._wake.set()
        return name

    def say(self, conversation: str, text: str, *, reply_to: To | None = None) -> str:
        """Say something in words."""
        return self.send(conversation, contents.Text(text=text, reply_to=reply_to or msgspec.UNSET))

    def react(self, conversation: str, to: To, emoji: str) -> str:
        """React to a message; with "", take that back."""
        return self.send(conversation, contents.Reaction(to=to, emoji=emoji), quiet=True)

    def edit(self, conversation: str, name: str, text: str) -> str:
        """Say one's own message differently."""
        return self.send(conversation, contents.Edit(to=To(self.account, name), text=text), quiet=True)

    def delete(self, conversation: str, to: To) -> str:
        """Take a message back for everyone: one's own, or, as an admin of a group, anybody's."""
        return self.send(conversation, contents.Delete(to=to), quiet=True)

    def disappear(self, conversation: str, seconds: int) -> str:
        """Let new messages disappear after so many seconds; 0: no more."""
        return self.send(conversation, contents.About(expires=seconds))

    async def sent(self, name: str) -> Received:
        """Wait until the server has a message. Raises NotSent, and what `ended` is."""

        def there() -> bool:
            return self.ended is not None or name in self._refused or self._find(name) is not None

        async with self._changed:
            await self._changed.wait_for(there)
        found = self._find(name)
        if found is not None:
            return found
        raise self._refused.pop(name, None) or self.ended or NotSent("unknown")

    @property
    def unsent(self) -> int:
        """Messages that the server doesn't have yet."""
        return self._outgoing.waiting

    async def all_sent(self) -> None:
        """Wait until the server has everything, or has refused it. Raises what `ended` is."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.ended is not None or not self.unsent)
        if self.ended is not None:
            raise self.ended

    # Files.

    async def send_file(self, conversation: str, name: str, kind: str, data: bytes, *, text: str = "") -> str:
        """Seal a file, upload it and say so. The id of the message. Raises Refused, aiohttp.ClientError."""
        file = await self.media.upload(name, kind, data)
        return self.send(conversation, msgspec.structs.replace(file, text=text))

    async def send_path(self, conversation: str, path: Path, kind: str, *, text: str = "") -> str:
        """Send a file from the disk. If it is interrupted, even by the program's death, `resume_file` goes on."""
        return await self.resume_file(await self.media.begin(conversation, path, kind, text=text))

    async def resume_file(self, upload: str) -> str:
        """Go on with one of `media.unfinished()`. The id of its message. Raises what `Media.go_on` does."""
        conversation, file = await self.media.go_on(upload)
        with self._keep.transaction():
            name = self.send(conversation, file)
            self.media.give_up(upload)
        return name

    async def fetch_file(self, file: contents.File) -> bytes:
        """A file that somebody sent. Raises files.FileBroken, Refused, ValueError."""
        return await self.media.fetch(file)

    # What is kept.

    async def messages(self, after: int = 0) -> AsyncIterator[tuple[int, Received]]:
        """All messages that are kept here, in the order in which they came, and those that come, without end.

        With each comes a number to begin after the next time. A message that couldn't be opened comes again, with
        another number, once it is. What has disappeared doesn't come. Raises what `ended` is.
        """
        while True:
            rows = kept(self._keep, "WHERE n > ? ORDER BY n LIMIT ?", after, PAGE)
            for n, message in rows:
                after = n
                if not isinstance(message.content, contents.Gone):
                    yield n, message
            if rows:
                continue
            async with self._changed:
                await self._changed.wait_for(partial(self._more, after))
            if self.ended is not None and self._newest() <= after:
                raise self.ended

    def history(self, conversation: str, last: int = LOOK_BACK) -> list[Line]:
        """A conversation as people see it: the last messages with their edits and reactions."""
        _, admins = self._admins(conversation)
        rows = kept(self._keep, "WHERE conversation = ? ORDER BY seq DESC LIMIT ?", conversation, last)
        return lines((message for _, message in rows), admins)

    def title(self, conversation: str) -> Title:
        """What a conversation is called, and when its messages disappear."""
        kind, admins = self._admins(conversation)
        rows = kept(self._keep, "WHERE conversation = ? AND about ORDER BY seq DESC LIMIT ?", conversation, LOOK_BACK)
        return title((message for _, message in rows), admins if kind == "group" else None)

    def _admins(self, conversation: str) -> tuple[str, frozenset[str]]:
        row = self._keep.one("SELECT kind, admins FROM place WHERE conversation = ?", conversation)
        return ("", frozenset()) if row is None else (row[0], frozenset(msgspec.json.decode(row[1])))

    def _more(self, after: int) -> bool:
        return self.ended is not None or self._newest() > after

    def _newest(self) -> int:
        found = self._keep.one("SELECT max(n) FROM message")
        return int(found[0] or 0) if found else 0

    def _find(self, name: str) -> Received | None:
        found = kept(self._keep, "WHERE id = ? AND device = ?", name, self.device)
        return found[0][1] if found else None

    # What is told and not kept. All raise ConnectionError where there is no connection.

    async def read(self, conversation: str, seq: int) -> None:
        """Everything up to there was read. Told to others as far as one has decided."""
        await self._say(frames.Read(conversation=conversation, seq=seq))

    async def typing(self, conversation: str, *, on: bool) -> None:
        await self._say(frames.Typing(conversation=conversation, on=on))

    async def watch(self, accounts: Sequence[str]) -> None:
        """Be told who of them is there, by `presence` frames to the listeners."""
        await self._say(frames.Watch(accounts=accounts))

    # Whom one is talking to.

    async def safety_number(self, account: str) -> str:
        """60 digits to compare with somebody with whom there is a conversation."""
        place = await self.api.conversation(await self.direct(account))
        self._learn(place)
        keys: dict[str, list[str]] = {self.account: [], account: []}
        for device in place.devices:
            keys[device.account].append(device.signing_key)
        return safety_number((self.account, keys[self.account]), (account, keys[account]))

    @property
    def new_devices(self) -> list[tuple[str, str]]:
        """Devices (account, device) that came after others of the same person, and of which nobody has been told.

        Somebody who sits between two people comes as such a device: what a person should be told, and compare numbers.
        """
        rows = self._keep.rows("SELECT account, id FROM device WHERE news ORDER BY length(id), id")
        return [(account, device) for account, device in rows if device != self.device]

    def told_of(self, device: str) -> None:
        """The person knows of a new device."""
        self._keep.run("UPDATE device SET news = 0 WHERE id = ?", device)
