"""What goes out: kept before it is sealed, sealed for the devices of now, and kept until the server has it."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from tenfold.contracts.messages import content as contents
from tenfold.contracts.messages import frames
from tenfold.contracts.messages.content import Content, Delete, Inner
from tenfold.contracts.messages.crypto import Crypto
from tenfold.contracts.messages.entities import Conversation, Device
from tenfold.contracts.messages.incoming import wipe
from tenfold.contracts.messages.keep import Keep, new_id

#: Messages that are on their way at once.
AHEAD = 64
#: Devices that are given a group's key in one frame; more get it in notes before.
GIVE_AT_ONCE = 250


class Queued(NamedTuple):
    """A message that is to be sent."""

    n: int
    conversation: str
    id: str
    content: bytes
    expires: int
    quiet: int


class Errand(NamedTuple):
    """A note that is to be sent."""

    n: int
    id: str
    conversation: str
    device: str
    content: bytes | None
    keys: bytes | None
    fresh: int


class Flying(NamedTuple):
    """A message that is on its way."""

    queued: Queued
    #: The revision and the devices that it was sealed for, and those of them that get the group's key with it.
    revision: int
    devices: frozenset[str]
    key: contents.GroupKey | None
    given: frozenset[str]


class Outgoing:
    """The sending side of one device."""

    def __init__(self, keep: Keep, crypto: Crypto, account: str, device: str) -> None:
        self._keep = keep
        self._crypto = crypto
        self._account = account
        self._device = device
        #: By id, in the order in which they were sent.
        self.flying: dict[str, Flying] = {}

    def queue(self, conversation: str, content: Content, *, expires: int = 0, quiet: bool = False) -> str:
        """Keep a message until it is sent, whatever happens. Its id. Raises ValueError for what is out of bounds."""
        name = new_id()
        self._keep.run(
            "INSERT INTO outbox (conversation, id, content, expires, quiet) VALUES (?, ?, ?, ?, ?)",
            conversation,
            name,
            contents.check(content),
            expires,
            int(quiet),
        )
        return name

    def next(self, blocked: Collection[str]) -> Queued | None:
        """The next message to send that isn't on its way, of a conversation that isn't blocked."""
        if len(self.flying) >= AHEAD:
            return None
        marks = ",".join("?" * len(blocked))
        sql = f"SELECT * FROM outbox WHERE conversation NOT IN ({marks}) ORDER BY n LIMIT ?"  # noqa: S608
        for row in self._keep.rows(sql, *blocked, AHEAD):  # fewer than AHEAD of these are on their way
            queued = Queued(*row)
            if queued.id not in self.flying:
                return queued
        return None

    @property
    def waiting(self) -> int:
        found = self._keep.one("SELECT count(*) FROM outbox")
        return int(found[0]) if found else 0

    def seal(self, queued: Queued, place: Conversation) -> list[frames.Note | frames.Send]:
        """A message, sealed for every device that the conversation has; before it, notes for those that are too many.

        Devices of a group with which there is no session get no key. Raises NoSession for one of a conversation of two.
        """
        inner = self._inner(queued.conversation, queued.id, content=queued.content)
        devices = frozenset(device.id for device in place.devices) - {self._device}
        to, key = sorted(devices), None
        sealed: str | msgspec.UnsetType = msgspec.UNSET
        found: list[frames.Note | frames.Send] = []
        with self._keep.transaction():
            if place.kind == "group":
                sealed, key, lacking = self._crypto.seal_for_group(inner, devices)
                inner = self._inner(queued.conversation, queued.id, keys=key)
                to = sorted(device for device in lacking if self._crypto.knows(device, place.id))
            given = frozenset(to) if key is not None else frozenset[str]()
            while len(to) > GIVE_AT_ONCE and key is not None:
                now, to = to[:GIVE_AT_ONCE], to[GIVE_AT_ONCE:]
                found.append(self._note(queued.conversation, new_id(), now, None, key))
            envelopes = {device: self._seal_for(device, inner) for device in to}
        self.flying[queued.id] = Flying(queued, place.revision, devices, key, given)
        send = frames.Send(
            id=queued.id,
            conversation=queued.conversation,
            revision=place.revision,
            content=sealed,
            envelopes=envelopes,
            expires=queued.expires,
            quiet=bool(queued.quiet),
        )
        return [*found, send]

    def needs(self, place: Conversation) -> list[Device]:
        """Devices of a conversation with which there is no session yet."""
        others = [each for each in place.devices if each.id != self._device]
        return [each for each in others if not self._crypto.knows(each.id, place.id)]

    def errands(self, after: int, limit: int) -> list[Errand]:
        """Notes that are to be sent, in order."""
        rows = self._keep.rows("SELECT * FROM errand WHERE n > ? ORDER BY n LIMIT ?", after, limit)
        return [Errand(*row) for row in rows]

    def note(self, errand: Errand) -> frames.Note:
        """A note, sealed for the device that it goes to. Raises NoSession."""
        keys = None if errand.keys is None else contents.decode_key(errand.keys)
        with self._keep.transaction():
            note = self._note(errand.conversation, errand.id, [errand.device], errand.content, keys)
            # The session that it has begun is the one that it goes with, if it must go a second time.
            self._keep.run("UPDATE errand SET fresh = 0 WHERE id = ?", errand.id)
        return note

    def done(self, name: str) -> None:
        """The server has a note, or will never take it."""
        self._keep.run("DELETE FROM errand WHERE id = ?", name)

    def _note(
        self,
        conversation: str,
        name: str,
        devices: Sequence[str],
        content: bytes | None,
        keys: contents.GroupKey | None,
    ) -> frames.Note:
        inner = self._inner(conversation, name, content=content, keys=keys)
        envelopes = {device: self._seal_for(device, inner) for device in devices}
        return frames.Note(id=name, conversation=conversation, envelopes=envelopes)

    def _seal_for(self, device: str, inner: Inner) -> frames.Envelope:
        return self._crypto.seal_for(device, msgspec.structs.replace(inner, to=device))

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

    def sent(self, frame: frames.Sent) -> bool:
        """The server has it: it goes from what is to be sent to what was said. False when it was no message."""
        flying = self.flying.pop(frame.id, None)
        if flying is None:
            return False
        queued = flying.queued
        with self._keep.transaction():
            if flying.key is not None:
                self._crypto.gave(queued.conversation, flying.key, flying.given)
            self._keep.run("DELETE FROM outbox WHERE id = ?", frame.id)
            self._keep.run(
                """INSERT OR IGNORE INTO message
                   (conversation, seq, id, account, device, at, content, ends_at, given, about)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                queued.conversation,
                frame.seq,
                frame.id,
                self._account,
                self._device,
                frame.at,
                queued.content,
                frame.at + queued.expires * 1000 if queued.expires else None,
                msgspec.json.encode(sorted(flying.devices)).decode(),
                contents.is_about(queued.content),
            )
            content = contents.decode(queued.content)
            if isinstance(content, Delete) and content.to.account == self._account:
                wipe(self._keep, queued.conversation, content)
        return True

    def back(self, name: str) -> Flying | None:
        """A message was refused. It is to be sent again, unless it is dropped."""
        return self.flying.pop(name, None)

    def drop(self, name: str) -> None:
        """A message is never sent."""
        self.flying.pop(name, None)
        self._keep.run("DELETE FROM outbox WHERE id = ?", name)

    def lost(self) -> None:
        """The connection is gone: what was on its way is to be sent again."""
        self.flying.clear()
