"""What messages say once they are opened: contents, and the inner that binds one to its place.

Whoever sends can write what they like into what is sealed: everything is bounded here, and checked when it is opened.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tenfold.contracts.messages.entities import Id
from tenfold.contracts.messages.frames import MessageId

type Words = Annotated[str, Meta(max_length=65_536)]
type Pixels = Annotated[int, Meta(ge=0, le=100_000)]
type Seconds = Annotated[int, Meta(ge=0, le=2**31)]


class To(msgspec.Struct, frozen=True):
    """Another message of the same conversation, by its sender and its id."""

    account: Id
    id: MessageId


class _Content(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True, kw_only=True):
    pass


class Text(_Content, frozen=True, tag="text"):
    text: Words
    reply_to: To | UnsetType = UNSET


class File(_Content, frozen=True, tag="file"):
    """A sealed upload, and how to open it. `key`, `iv` and `sha256` are base64; `sha256` is of the sealed bytes."""

    name: Annotated[str, Meta(max_length=1024)]
    type: Annotated[str, Meta(max_length=256)]
    #: Bytes when it is opened.
    size: Annotated[int, Meta(ge=0, le=2**40)]
    key: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]{43}=\Z")]
    iv: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]{16}\Z")]
    sha256: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]{43}=\Z")]
    upload: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z")]
    #: Bytes of each piece but the last, before it is sealed.
    part: Annotated[int, Meta(ge=1, le=16 * 1024 * 1024)]
    width: Pixels = 0
    height: Pixels = 0
    #: A small JPEG, in base64.
    thumbnail: Words = ""
    text: Words = ""
    reply_to: To | UnsetType = UNSET


class Reaction(_Content, frozen=True, tag="reaction"):
    """With an empty emoji it is taken back."""

    to: To
    emoji: Annotated[str, Meta(max_length=64)]


class Edit(_Content, frozen=True, tag="edit"):
    to: To
    text: Words


class Delete(_Content, frozen=True, tag="delete"):
    to: To


class About(_Content, frozen=True, tag="about"):
    """What the conversation is called, and after how many seconds new messages disappear (0: never)."""

    name: Annotated[str, Meta(max_length=1024)] | UnsetType = UNSET
    expires: Seconds | UnsetType = UNSET


class KeyRequest(_Content, frozen=True, tag="key_request"):
    """In a note: the key of a group session is missing here."""

    session: Annotated[str, Meta(max_length=100)]


class Reset(_Content, frozen=True, tag="reset"):
    """In a note, sealed with a new session: these messages couldn't be opened with the one before."""

    ids: Annotated[list[MessageId], Meta(max_length=200)] = []


class Again(_Content, frozen=True, tag="again"):
    """In a note: the content of a message that couldn't be opened."""

    of: MessageId
    content: msgspec.Raw


class Unknown(msgspec.Struct, frozen=True):
    """A content of a kind that isn't known here."""

    kind: str


class Unopened(msgspec.Struct, frozen=True):
    """A message that can't be opened yet. Its key, or its content, has been asked for."""

    why: str


class Gone(msgspec.Struct, frozen=True):
    """A message that is here no more: it was taken back ("deleted"), or its time is over ("expired")."""

    why: str


type Said = Text | File | Reaction | Edit | Delete | About
type Content = Said | KeyRequest | Reset | Again
type Shown = Content | Unknown | Unopened | Gone


class GroupKey(msgspec.Struct, frozen=True):
    """The key of a group session, for a device that hasn't got it."""

    session: Annotated[str, Meta(max_length=100)]
    key: Annotated[str, Meta(max_length=1000)]


class Inner(msgspec.Struct, frozen=True, omit_defaults=True, rename={"sender": "from"}):
    """The plaintext of everything that is sealed. What was sealed for one place can't be replayed in another."""

    v: Literal[1]
    sender: str
    device: str
    conversation: str
    id: str
    to: str = ""
    content: msgspec.Raw | UnsetType = UNSET
    keys: GroupKey | UnsetType = UNSET


_decode: Any = msgspec.json.Decoder(Content).decode
_decode_any: Any = msgspec.json.Decoder(Mapping[str, Any]).decode
encode = msgspec.json.encode
decode_inner = msgspec.json.Decoder(Inner).decode
decode_key = msgspec.json.Decoder(GroupKey).decode


def decode(data: bytes | msgspec.Raw) -> Content | Unknown:
    """A content, or what is known of one that isn't known. Raises msgspec.MsgspecError for what is none at all."""
    try:
        content: Content = _decode(data)
        return content
    except msgspec.ValidationError:
        kind = _decode_any(data).get("kind")
        if not isinstance(kind, str):
            raise
        return Unknown(kind[:100])


def is_about(data: bytes | None) -> bool:
    """Whether a content says something about its conversation."""
    return data is not None and isinstance(decode(data), About)


def check(content: Content) -> bytes:
    """A content as it is sealed. Raises msgspec.ValidationError, a ValueError, where it is out of bounds."""
    data = encode(content)
    _decode(data)
    return data
