"""What goes out: kept before it is sealed, sealed for the devices of now, and kept until the server has it."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tenfold.contracts.messages import content as contents
from tenfold.contracts.messages import frames
from tenfold.contracts.messages.content import Content, Inner
from tenfold.contracts.messages.crypto import Crypto
from tenfold.contracts.messages.entities import Conversation, Device
from tenfold.contracts.messages.incoming import Received, Wish
from tenfold.contracts.messages.keep import Keep, new_id

#: Messages that are on their way at once.
AHEAD = 64


class Queued(NamedTuple):
    """A message that is to be sent."""

    n: int
    conversation: str
    id: str
    content: bytes
    expires: int
    quiet: int


class Given(NamedTuple):
    """Who is given the key of a group session in a message."""

    conversation: str
    session: str
    devices: frozenset[str]


class Outgoing:
    """The sending side of one device."""

    def __init__(self, keep: Keep, crypto: Crypto, account: str, device: str) -> None:
        self._keep = keep
        self._crypto = crypto
        self._account = account
        self._device = device
        #: By id, in the order in which they were sent.
        self.flying: dict[str, Queued] = {}
        self._given: dict[str, Given] = {}

    def queue(self, conversation: str, content: Content, *, expires: int = 0, quiet: bool = False) -> str:
        """Keep a message until it is sent, whatever happens. Its id."""
        name = new_id()
        self._keep.run(
            "INSERT INTO outbox (conversation, id, content, expires, quiet) VALUES (?, ?, ?, ?, ?)",
            conversation,
            name,
            contents.encode(content),
            expires,
            int(quiet),
        )
        return name

    def next(self, blocked: Mapping[str, object]) -> Queued | None:
        """The next message to send that isn't on its way, of a conversation that isn't blocked."""
        if len(self.flying) >= AHEAD:
            return None
        for row in self._keep.rows("SELECT * FROM outbox ORDER BY n LIMIT ?", AHEAD * 4):
            queued = Queued(*row)
            if queued.id not in self.flying and queued.conversation not in blocked:
                return queued
        return None

    @property
    def waiting(self) -> int:
        found = self._keep.one("SELECT count(*) FROM outbox")
        return int(found[0]) if found else 0

    def seal(self, queued: Queued, place: Conversation) -> frames.Send:
        """A message, sealed for every device that the conversation has. There must be sessions with all of them."""
        inner = self._inner(queued.conversation, queued.id, content=queued.content)
        others = {device.id for device in place.devices} - {self._device}
        sealed: str | msgspec.UnsetType = msgspec.UNSET
        with self._keep.transaction():
            if place.kind == "group":
                sealed, key, lacking = self._crypto.seal_for_group(inner, others)
                inner = self._inner(queued.conversation, queued.id, keys=key)
                self._given[queued.id] = Given(queued.conversation, key.session, frozenset(lacking))
                others = lacking
            envelopes = {
                device: self._crypto.seal_for(device, msgspec.structs.replace(inner, to=device)) for device in others
            }
        self.flying[queued.id] = queued
        return frames.Send(
            id=queued.id,
            conversation=queued.conversation,
            revision=place.revision,
            content=sealed,
            envelopes=envelopes,
            expires=queued.expires,
            quiet=bool(queued.quiet),
        )

    def needs(self, place: Conversation) -> list[Device]:
        """Devices of a conversation with which there is no session yet."""
        return [each for each in place.devices if each.id != self._device and not self._crypto.knows(each.id)]

    def note(self, wish: Wish) -> frames.Note:
        """A wish, sealed for the device that it goes to."""
        content = None if wish.content is None else contents.encode(wish.content)
        name = new_id()
        inner = self._inner(wish.conversation, name, content=content, keys=wish.keys)
        with self._keep.transaction():
            envelope = self._crypto.seal_for(wish.device, msgspec.structs.replace(inner, to=wish.device))
        return frames.Note(id=name, conversation=wish.conversation, envelopes={wish.device: envelope})

    def _inner(
        self, conversation: str, name: str, *, content: bytes | None = None, keys: contents.GroupKey | None = None
    ) -> Inner:
        return Inner(
            v=1,
            sender=self._account,
            device=self._device,
            conversation=conversation,
            id=name,
            content=msgspec.UNSET if content is None else msgspec.Raw(content),
            keys=msgspec.UNSET if keys is None else keys,
        )

    def sent(self, frame: frames.Sent) -> Received | None:
        """The server has it: it goes from what is to be sent to what was said. None when it was no message of ours."""
        queued = self.flying.pop(frame.id, None)
        given = self._given.pop(frame.id, None)
        if queued is None:
            return None
        row = (queued.conversation, frame.seq, frame.id, self._account, self._device, frame.at)
        with self._keep.transaction():
            if given is not None:
                self._crypto.gave(*given)
            self._keep.run("DELETE FROM outbox WHERE id = ?", frame.id)
            self._keep.run(
                """INSERT OR IGNORE INTO message (conversation, seq, id, account, device, at, content)
                   VALUES (?, ?, ?, ?, ?, ?, ?)""",
                *row,
                queued.content,
            )
        return Received(*row, contents.decode(queued.content))

    def back(self, name: str, *, drop: bool = False) -> Queued | None:
        """A message was refused: it is to be sent again, or never."""
        self._given.pop(name, None)
        queued = self.flying.pop(name, None)
        if queued is not None and drop:
            self._keep.run("DELETE FROM outbox WHERE id = ?", name)
        return queued

    def lost(self) -> None:
        """The connection is gone: what was on its way is to be sent again."""
        self.flying.clear()
        self._given.clear()
