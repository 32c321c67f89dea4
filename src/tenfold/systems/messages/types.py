"""The words of messages inside the server: ids are numbers here, and what is sealed is bytes of JSON already."""

from collections.abc import Mapping

import msgspec


class Delivery(msgspec.Struct, frozen=True, tag="m", array_like=True):
    """A message on its way to all devices of one account."""

    conversation_id: int
    seq: int
    #: The sending device, which gets none.
    device_id: int
    #: The frame without an envelope, as JSON.
    frame: bytes
    #: By device, its envelope as JSON.
    envelopes: Mapping[int, bytes]

    def frame_for(self, device_id: int) -> bytes:
        """The frame of one device."""
        envelope = self.envelopes.get(device_id)
        return self.frame if envelope is None else b'%s,"envelope":%s}' % (self.frame[:-1], envelope)


class Noted(msgspec.Struct, frozen=True, tag="n", array_like=True):
    """Notes on their way to devices of one account."""

    #: By device, the note's id and its frame.
    notes: Mapping[int, tuple[int, bytes]]


class Told(msgspec.Struct, frozen=True, tag="t", array_like=True):
    """A frame for all devices of one account that are connected now. It says nothing that can't be read otherwise."""

    frame: bytes
    #: The device that knows already, or 0.
    but: int = 0


class Ended(msgspec.Struct, frozen=True, tag="e", array_like=True):
    """A connection of a device is to end, except that which says so itself."""

    device_id: int
    code: int
    #: The connection that took its place, or "".
    by: str = ""


class Look(msgspec.Struct, frozen=True, tag="l", array_like=True):
    """Something may wait in the inboxes of an account, of which no other word came."""


type Word = Delivery | Noted | Told | Ended | Look


class Members(msgspec.Struct, frozen=True):
    """Who is in a conversation, of one revision of it."""

    account_ids: frozenset[int]
    #: Account by device.
    devices: Mapping[int, int]
    #: Who gets nothing, because they have blocked the other.
    blocking: frozenset[int]


class Place(msgspec.Struct, frozen=True):
    """A conversation as its row says, locked."""

    id: int
    kind: str
    revision: int
    last_seq: int


class Sealed(msgspec.Struct, frozen=True):
    """A message or a note that somebody wants to send."""

    conversation_id: int
    account_id: int
    device_id: int
    id: str
    #: 0: a note.
    revision: int
    content: str | None
    #: By device: the kind of Olm message, and its body.
    envelopes: Mapping[int, tuple[int, str]]
    expires: int = 0
    quiet: bool = False


class Stored(msgspec.Struct, frozen=True):
    """A message or a note that is stored, or was before. A note's `seq` is 0."""

    seq: int
    #: Milliseconds since 1970.
    at: int
    #: Whether it was stored just now.
    new: bool = False


class SentRow(msgspec.Struct, frozen=True):
    """What a client's id has become."""

    conversation_id: int
    device_id: int
    id: str
    seq: int
    at: int


class InboxRow(msgspec.Struct, frozen=True):
    """A message that waits for a device."""

    conversation_id: int
    seq: int
    id: str
    sender_id: int
    sender_device_id: int
    at: int
    expires: int
    content: str | None
    kind: int | None
    body: str | None


class NoteRow(msgspec.Struct, frozen=True):
    """A note that waits for a device."""

    id: int
    conversation_id: int
    message_id: str
    sender_id: int
    sender_device_id: int
    at: int
    kind: int
    body: str


class Ackable(msgspec.Struct, frozen=True):
    """What a device has stored, of one conversation; of notes with `conversation_id` 0."""

    account_id: int
    device_id: int
    conversation_id: int
    #: A sequence number, or the id of a note.
    seq: int


class Mark(msgspec.Struct, frozen=True):
    """How far a member has got."""

    conversation_id: int
    account_id: int
    delivered: int


class Moved(msgspec.Struct, frozen=True):
    """Somebody whose messages have reached, or were read by, another."""

    conversation_id: int
    account_id: int
    sender_id: int
