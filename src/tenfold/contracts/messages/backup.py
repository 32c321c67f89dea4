"""Backups: a random key, sealed by a passphrase, and parts of history under it (docs/messages-protocol.md)."""

import gzip
import os
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from tenfold.contracts.messages.entities import Id
from tenfold.contracts.messages.frames import MessageId

KDF, ROUNDS = "PBKDF2-SHA256", 600_000
#: Bytes of a part when it is unpacked.
MOST = 64 * 1024 * 1024


class WrongPassphrase(ValueError):
    """The passphrase doesn't open this backup."""


class BackupBroken(ValueError):
    """A part of the backup can't be read."""


class KeptMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message in a backup."""

    conversation: Id
    seq: int
    id: MessageId
    account: Id
    device: Id
    at: int
    content: msgspec.Raw
    #: When it disappears, in milliseconds since 1970.
    ends_at: int | None = None


class KeptSession(msgspec.Struct, frozen=True, kw_only=True):
    """A group session of another device in a backup: its key as Megolm exports it, from the first index known."""

    conversation: Id
    device: Id
    session: Annotated[str, msgspec.Meta(max_length=100)]
    key: Annotated[str, msgspec.Meta(max_length=1000)]


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a part: one of these. What a client doesn't know, it passes over."""

    message: KeptMessage | None = None
    session: KeptSession | None = None


decode_line = msgspec.json.Decoder(Line).decode


class Head(msgspec.Struct, frozen=True):
    kdf: str
    rounds: int
    salt: str
    iv: str
    key: str


def make_head(passphrase: str, key: bytes, *, salt: bytes | None = None, iv: bytes | None = None) -> str:
    """The head of a backup: its key (32 bytes), sealed by a passphrase."""
    salt, iv = salt or os.urandom(16), iv or os.urandom(12)
    sealed = AESGCM(_derive(passphrase, salt, ROUNDS)).encrypt(iv, key, b"")
    head = Head(KDF, ROUNDS, b64encode(salt).decode(), b64encode(iv).decode(), b64encode(sealed).decode())
    return b64encode(msgspec.json.encode(head)).decode()


def open_head(passphrase: str, sealed: str) -> bytes:
    """The key of a backup. Raises WrongPassphrase, BackupBroken."""
    try:
        head = msgspec.json.decode(b64decode(sealed), type=Head)
        if head.kdf != KDF or not 1 <= head.rounds <= 10_000_000:
            raise BackupBroken
        salt, iv, key = b64decode(head.salt), b64decode(head.iv), b64decode(head.key)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BackupBroken from error
    try:
        return AESGCM(_derive(passphrase, salt, head.rounds)).decrypt(iv, key, b"")
    except InvalidTag as error:
        raise WrongPassphrase from error


def seal_part(key: bytes, version: int, number: int, lines: Iterable[object], *, iv: bytes | None = None) -> bytes:
    """A part of JSON lines."""
    iv = iv or os.urandom(12)
    data = gzip.compress(b"\n".join(map(msgspec.json.encode, lines)), mtime=0)
    return iv + AESGCM(key).encrypt(iv, data, _place(version, number))


def open_part(key: bytes, version: int, number: int, sealed: bytes) -> Iterator[bytes]:
    """The lines of a part. Raises BackupBroken where it isn't that part of that version."""
    try:
        packed = AESGCM(key).decrypt(sealed[:12], sealed[12:], _place(version, number))
        unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
        data = unpacking.decompress(packed, MOST)
    except (InvalidTag, ValueError, zlib.error) as error:
        raise BackupBroken from error
    if not unpacking.eof:
        raise BackupBroken
    return iter(data.splitlines())


def _place(version: int, number: int) -> bytes:
    return f"{version}/{number}".encode()


def _derive(passphrase: str, salt: bytes, rounds: int) -> bytes:
    return PBKDF2HMAC(SHA256(), 32, salt, rounds).derive(passphrase.encode())
