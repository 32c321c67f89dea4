"""The entities of the HTTP API under /messages/api/v1, as docs/messages-protocol.md defines them. JSON.

64-bit ids are text; times are milliseconds since 1970; keys, signatures and what is sealed are text that the server
stores as it is.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

type Id = Annotated[str, Meta(pattern="^[1-9][0-9]{0,18}$")]
#: Base64 without padding: a Curve25519 or Ed25519 key has 43 characters, a signature 86.
type Key = Annotated[str, Meta(pattern="^[A-Za-z0-9+/]{43}$")]
type Signature = Annotated[str, Meta(pattern="^[A-Za-z0-9+/]{86}$")]
type KeyId = Annotated[str, Meta(pattern="^[A-Za-z0-9+/_-]{1,32}$")]
type DeviceName = Annotated[str, Meta(min_length=1, max_length=80, pattern="^[^\\x00]*$")]
type Role = Literal["admin", "member"]
type Kind = Literal["direct", "group"]
type Audience = Literal["everyone", "contacts", "nobody"]


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    pass


# Devices and their keys.


class OneTimeKey(_Asked, frozen=True):
    """A prekey, signed by the device's signing key over `key_text`."""

    id: KeyId
    key: Key
    signature: Signature


def device_text(account: str, identity_key: str, signing_key: str) -> bytes:
    """What a device signs with its signing key, so that nobody can put its keys under another account."""
    return f"tenfold-messages-device {account} {identity_key} {signing_key}".encode()


def key_text(identity_key: str, id: str, key: str) -> bytes:
    """What a device signs for each prekey."""
    return f"tenfold-messages-key {identity_key} {id} {key}".encode()


class AddDevice(_Asked, frozen=True, kw_only=True):
    """A new device of the account that asks."""

    name: DeviceName
    identity_key: Key
    signing_key: Key
    signature: Signature
    one_time_keys: Annotated[Sequence[OneTimeKey], Meta(max_length=200)] = ()
    #: Given out when there are no one-time keys left, again and again until it is replaced.
    fallback_key: OneTimeKey


class AddKeys(_Asked, frozen=True):
    """More one-time keys, and perhaps a new fallback key."""

    one_time_keys: Annotated[Sequence[OneTimeKey], Meta(max_length=200)] = ()
    fallback_key: OneTimeKey | None = None


class Device(_Told, frozen=True):
    """A device as everybody sees it who shares a conversation with its owner."""

    id: Id
    account: Id
    identity_key: Key
    signing_key: Key
    #: By the signing key, over `device_text`.
    signature: Signature
    added_at: int


class OwnDevice(_Told, frozen=True):
    """A device as its owner sees it."""

    id: Id
    name: str
    identity_key: Key
    signing_key: Key
    added_at: int
    seen_at: int | None
    online: bool
    #: One-time keys that are left at the server. Below 20 it is time to add some.
    one_time_keys: int
    #: Whether push messages are sent to it.
    pushed: bool


class ClaimKeys(_Asked, frozen=True):
    """One prekey of each of these devices, to begin sessions with."""

    devices: Annotated[Sequence[Id], Meta(min_length=1, max_length=600)]


class ClaimedKey(_Told, frozen=True):
    """A prekey. With `fallback` others may have been given the same."""

    device: Id
    id: KeyId
    key: Key
    signature: Signature
    fallback: bool


class ClaimedKeys(_Told, frozen=True):
    keys: Sequence[ClaimedKey]
    #: Devices that are gone, or that share no conversation with who asks.
    missing: Sequence[Id]


# People.


class Person(_Told, frozen=True):
    id: Id
    name: str
    display_name: str


class Mine(_Told, frozen=True):
    """What somebody has decided about themselves."""

    account: Person
    #: Whether others are told what was read; who doesn't tell isn't told either.
    read_receipts: bool
    #: Who is told whether one is there, and when one was. Who doesn't tell isn't told either.
    last_seen: Audience
    blocked: Sequence[Person]


class ChangeMine(_Asked, frozen=True):
    read_receipts: bool | UnsetType = UNSET
    last_seen: Audience | UnsetType = UNSET


class Report(_Asked, frozen=True, kw_only=True):
    """Somebody's misconduct. The server can't read messages, so who reports quotes those that they want to be seen."""

    account: Id
    conversation: Id | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=2000, pattern="^[^\\x00]*$")]
    quoted: Annotated[Sequence[Annotated[str, Meta(max_length=4000, pattern="^[^\\x00]*$")]], Meta(max_length=20)] = ()


# Conversations.


class Member(_Told, frozen=True):
    account: Person
    role: Role
    #: Everything up to these has reached a device of theirs, or was read.
    delivered: int
    read: int


class Conversation(_Told, frozen=True):
    """A conversation. The server knows neither its name nor its picture: they are told in messages."""

    id: Id
    kind: Kind
    #: Grows with every change of members or of their devices. `send` carries the one that it was sealed for.
    revision: int
    #: The newest message's number; 0 without any.
    last: int
    created_at: int
    members: Sequence[Member]
    #: The devices of all members. Empty in lists.
    devices: Sequence[Device] = ()


class Conversations(_Told, frozen=True):
    conversations: Sequence[Conversation]
    #: Asks for those after these; None at the end.
    next: str | None


class Begin(_Asked, frozen=True):
    """A conversation with one other, which is there already if it was begun before, or a group."""

    kind: Kind
    accounts: Annotated[Sequence[Id], Meta(max_length=1024)] = ()
    #: Made by the client, so that asking for a group again makes no second one.
    key: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{8,64}$")] | None = None


class AddMembers(_Asked, frozen=True):
    accounts: Annotated[Sequence[Id], Meta(min_length=1, max_length=1024)]


class ChangeMember(_Asked, frozen=True):
    role: Role


class Invite(_Told, frozen=True):
    """Who has the code may join until it ends or is replaced."""

    code: str
    url: str
    ends_at: int


class Invited(_Told, frozen=True):
    """What somebody sees who was given a code."""

    conversation: Id
    members: int
    by: Person
    joined: bool


# Media and backups: sealed bytes.


class BeginUpload(_Asked, frozen=True):
    """Sealed bytes that are to come in parts."""

    size: Annotated[int, Meta(ge=1, le=2**40)]


class Upload(_Told, frozen=True):
    """Who knows the id of a finished upload may fetch it, until it ends."""

    id: str
    size: int
    #: Bytes of each part but the last.
    part: int
    #: Numbers of the parts that are there, from 0.
    have: Sequence[int]
    finished: bool
    ends_at: int


class BackupHead(_Asked, frozen=True):
    """How the backup's key is made of a passphrase, and that key, sealed. Replaced as a whole."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    #: What a client needs to open it: derivation, salt, rounds, sealed key. The server doesn't look into it.
    sealed: Annotated[str, Meta(min_length=1, max_length=4096, pattern="^[!-~]*$")]


class Backup(_Told, frozen=True):
    version: int
    sealed: str
    #: Numbers of the parts that are there, and their bytes together.
    parts: Sequence[int]
    bytes: int
    changed_at: int


# Push.


class PushKey(_Told, frozen=True):
    """The VAPID key (RFC 8292) that push subscriptions are made with; None where pushing is off."""

    key: str | None


type _Armoured = Annotated[str, Meta(max_length=200, pattern="^[A-Za-z0-9_-]+$")]


class PushKeys(_Asked, frozen=True):
    """A browser's public key and its secret, in base64url."""

    p256dh: _Armoured
    auth: _Armoured


class Subscribe(_Asked, frozen=True):
    """A browser's push subscription, as PushSubscription.toJSON() gives it."""

    endpoint: Annotated[str, Meta(min_length=9, max_length=2000, pattern="^https?://[!-~]+$")]
    keys: PushKeys
    #: Other members of the standard are taken and not used.
    expirationTime: float | None = None  # noqa: N815 (the standard's name)
