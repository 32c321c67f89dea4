"""What messages say once they are opened: contents, and the inner that binds one to its place."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType


class To(msgspec.Struct, frozen=True):
    """Another message of the same conversation, by its sender and its id."""

    account: str
    id: str


class _Content(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True, kw_only=True):
    pass


class Text(_Content, frozen=True, tag="text"):
    text: str
    reply_to: To | UnsetType = UNSET


class File(_Content, frozen=True, tag="file"):
    """A sealed upload, and how to open it. `key`, `iv` and `sha256` are base64; `sha256` is of the sealed bytes."""

    name: str
    type: str
    #: Bytes when it is opened.
    size: int
    key: str
    iv: str
    sha256: str
    upload: str
    #: Bytes of each piece but the last, before it is sealed.
    part: int
    width: int = 0
    height: int = 0
    #: A small JPEG, in base64.
    thumbnail: str = ""
    text: str = ""
    reply_to: To | UnsetType = UNSET


class Reaction(_Content, frozen=True, tag="reaction"):
    """With an empty emoji it is taken back."""

    to: To
    emoji: str


class Edit(_Content, frozen=True, tag="edit"):
    to: To
    text: str


class Delete(_Content, frozen=True, tag="delete"):
    to: To


class About(_Content, frozen=True, tag="about"):
    """What the conversation is called, and after how many seconds new messages disappear (0: never)."""

    name: str | UnsetType = UNSET
    expires: int | UnsetType = UNSET


class KeyRequest(_Content, frozen=True, tag="key_request"):
    """In a note: the key of a group session is missing here."""

    session: str


class Reset(_Content, frozen=True, tag="reset"):
    """In a note, sealed with a new session: these messages couldn't be opened with the one before."""

    ids: list[str] = []


class Again(_Content, frozen=True, tag="again"):
    """In a note: the content of a message that couldn't be opened."""

    of: str
    content: msgspec.Raw


class Unknown(msgspec.Struct, frozen=True):
    """A content of a kind that isn't known here."""

    kind: str


class Unopened(msgspec.Struct, frozen=True):
    """A message that can't be opened yet. Its key, or its content, has been asked for."""

    why: str


type Content = Text | File | Reaction | Edit | Delete | About | KeyRequest | Reset | Again
type Shown = Content | Unknown | Unopened


class GroupKey(msgspec.Struct, frozen=True):
    """The key of a group session, for a device that hasn't got it."""

    session: str
    key: str


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


def decode(data: bytes | msgspec.Raw) -> Shown:
    """A content, or what is known of one that isn't known. Raises msgspec.MsgspecError for what is none at all."""
    try:
        content: Content = _decode(data)
        return content
    except msgspec.ValidationError:
        kind = _decode_any(data).get("kind")
        if not isinstance(kind, str):
            raise
        return Unknown(kind[:100])
