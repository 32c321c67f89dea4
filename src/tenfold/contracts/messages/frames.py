"""The frames of the WebSocket, protocol version 1, as docs/messages-protocol.md defines them. JSON in text frames.

64-bit ids are text. Sequence numbers and times (milliseconds since 1970) are numbers. What is sealed is ASCII text of
whatever form the clients have agreed upon; the server never looks into it.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

PROTOCOL = 1
#: Offered in Sec-WebSocket-Protocol; `bearer.<token>` may follow it where a client can't set headers.
SUBPROTOCOL = "tenfold.messages.v1"

#: An id given by the server.
type Id = Annotated[str, Meta(pattern=r"\A[1-9][0-9]{0,18}\Z")]
#: An id made by a client: a UUID, or anything else that it never makes twice.
type MessageId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{8,64}\Z")]
type Seq = Annotated[int, Meta(ge=1, le=2**53)]
#: Printable ASCII. How long it may be is a setting of the server, told in `welcome`.
type Sealed = Annotated[str, Meta(pattern=r"\A[!-~]+\Z")]


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one device can open: an Olm message."""

    #: 0 opens a session (a prekey message), 1 goes on with one.
    type: Literal[0, 1]
    body: Sealed


class _Frame(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True, kw_only=True):
    pass


class _Asked(_Frame, frozen=True, forbid_unknown_fields=True):
    pass


# What a client says.


class Hello(_Asked, frozen=True, tag="hello"):
    """The first frame: which device this is."""

    device: Id
    protocol: int


class Send(_Asked, frozen=True, tag="send"):
    """A message to everybody in a conversation. Sent again with the same id, it is the same message."""

    id: MessageId
    conversation: Id
    #: Of the members and devices for whom it is sealed.
    revision: Annotated[int, Meta(ge=1, le=2**53)]
    #: What all devices can open, once they have the sender's key; needed in groups.
    content: Sealed | UnsetType = UNSET
    #: By device. One to one: for every device but the sending one. In groups: for those that are given something.
    envelopes: Mapping[Id, Envelope] = {}
    #: Seconds after which the server drops it, delivered or not; 0: when every device has it, or after the limit.
    expires: Annotated[int, Meta(ge=0, le=2**31)] = 0
    #: Whether nobody is to be woken by a push for it.
    quiet: bool = False


class Note(_Asked, frozen=True, tag="note"):
    """Something durable for single devices of members, outside the sequence: keys, and requests for them."""

    id: MessageId
    conversation: Id
    envelopes: Mapping[Id, Envelope]


class Ack(_Asked, frozen=True, tag="ack"):
    """The device has stored everything up to these: the server may forget it."""

    #: By conversation, the sequence number up to which nothing is missing.
    seen: Mapping[Id, Seq] = {}
    #: Ids that the server gave to notes.
    notes: Sequence[Id] = ()


class Read(_Asked, frozen=True, tag="read"):
    """The person has read everything up to here."""

    conversation: Id
    seq: Seq


class Typing(_Asked, frozen=True, tag="typing"):
    conversation: Id
    on: bool


class Watch(_Asked, frozen=True, tag="watch"):
    """Whose presence is wanted from now on, in place of those before. Everybody's state comes at once."""

    accounts: Sequence[Id]


class Ping(_Asked, frozen=True, tag="ping"):
    n: int = 0


type FromClient = Hello | Send | Note | Ack | Read | Typing | Watch | Ping


# What the server says.


class Welcome(_Frame, frozen=True, tag="welcome"):
    """The device is known. What waits for it follows, then `caught_up`."""

    protocol: int
    account: Id
    device: Id
    #: Milliseconds since 1970, by the server's clock.
    now: int
    #: Seconds between two signs of life that the server expects, and of silence after which it hangs up.
    heartbeat: int
    silence: int
    #: Messages that may be on their way to this device unacknowledged.
    window: int
    #: Bytes of a frame, of `content`, and of an envelope's body.
    frame_bytes: int
    content_bytes: int
    envelope_bytes: int
    #: Seconds that a client waits at least and at most before it connects again, doubling, at random.
    retry: tuple[int, int]


class Sent(_Frame, frozen=True, tag="sent"):
    """A message or note is stored and won't be lost. A note has no `seq`."""

    id: MessageId
    at: int
    seq: int = 0


class Message(_Frame, frozen=True, tag="message"):
    """A message for this device. In a conversation they come in order, each once on a connection."""

    conversation: Id
    seq: int
    id: MessageId
    #: Who sent it, and from which device, as the server has authenticated them.
    account: Id
    device: Id
    at: int
    content: str | UnsetType = UNSET
    envelope: Envelope | UnsetType = UNSET
    expires: int = 0


class NoteCame(_Frame, frozen=True, tag="note"):
    """A note for this device."""

    #: The id by which it is acknowledged.
    note: Id
    conversation: Id
    id: MessageId
    account: Id
    device: Id
    at: int
    envelope: Envelope


class CaughtUp(_Frame, frozen=True, tag="caught_up"):
    """Everything that waited has been sent. What follows is new."""


class Receipt(_Frame, frozen=True, tag="receipt"):
    """How far somebody has got: everything up to these has reached a device of theirs, or was read. 0: as before."""

    conversation: Id
    account: Id
    delivered: int = 0
    read: int = 0


class TypingSeen(_Frame, frozen=True, tag="typing"):
    conversation: Id
    account: Id
    on: bool


class Presence(_Frame, frozen=True, tag="presence"):
    """Who is there. `seen`: when they were last, in milliseconds; None where they don't tell or never were."""

    account: Id
    online: bool
    seen: int | None = None


class Changed(_Frame, frozen=True, tag="changed"):
    """Something is to be read anew over HTTP: a conversation (its members, their devices), or what concerns oneself."""

    what: Literal["conversation", "self"]
    conversation: Id | UnsetType = UNSET


class Problem(_Frame, frozen=True, tag="error"):
    """A frame could not be done. The connection stays, unless `bye` follows."""

    code: str
    detail: str
    #: Of the message or note that is refused.
    id: str | UnsetType = UNSET
    conversation: str | UnsetType = UNSET
    #: The revision that counts now, with `stale_members`.
    revision: int | UnsetType = UNSET
    #: Seconds after which it may be tried again.
    retry_after: int | UnsetType = UNSET


class Bye(_Frame, frozen=True, tag="bye"):
    """The server hangs up. A client that wants to come back waits for a random part of `after` seconds."""

    reason: str
    after: int = 0


class Pong(_Frame, frozen=True, tag="pong"):
    n: int = 0


type FromServer = (
    Welcome | Sent | Message | NoteCame | CaughtUp | Receipt | TypingSeen | Presence | Changed | Problem | Bye | Pong
)

#: Codes with which the server closes the WebSocket, beside 1001 (it stops: come again).
BAD_FRAMES, SIGNED_OUT, NO_DEVICE, TOO_SILENT, REPLACED, TOO_LARGE = 4400, 4401, 4403, 4408, 4409, 4413
