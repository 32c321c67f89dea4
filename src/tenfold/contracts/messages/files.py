"""Files, sealed in pieces with AES-256-GCM, so that they can be uploaded, resumed and opened piece by piece."""

import hashlib
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

#: Bytes of a piece before it is sealed, and what sealing adds.
PART, TAG = 256 * 1024, 16


class FileBroken(ValueError):
    """The sealed bytes aren't those that the message speaks of."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed file and what a message must say to open it. Everything is base64 but the bytes."""

    data: bytes
    key: str
    iv: str
    sha256: str
    part: int = PART


def seal(data: bytes, *, key: bytes | None = None, iv: bytes | None = None, part: int = PART) -> Sealed:
    """Seal a file under a key of its own."""
    key, iv = key or os.urandom(32), iv or os.urandom(12)
    cipher = AESGCM(key)
    pieces = [data[at : at + part] for at in range(0, len(data), part)] or [b""]
    sealed = b"".join(
        cipher.encrypt(_nonce(iv, n), piece, _last(n == len(pieces) - 1)) for n, piece in enumerate(pieces)
    )
    digest = hashlib.sha256(sealed).digest()
    return Sealed(sealed, b64encode(key).decode(), b64encode(iv).decode(), b64encode(digest).decode(), part)


def unseal(sealed: Sealed) -> bytes:
    """The file. Raises FileBroken when a byte, a piece or the end of it is wrong."""
    if b64encode(hashlib.sha256(sealed.data).digest()).decode() != sealed.sha256:
        raise FileBroken
    return b"".join(_pieces(sealed))


def _pieces(sealed: Sealed) -> Iterator[bytes]:
    cipher, iv, step = AESGCM(b64decode(sealed.key)), b64decode(sealed.iv), sealed.part + TAG
    count = max(1, -(-len(sealed.data) // step))
    for n in range(count):
        try:
            yield cipher.decrypt(_nonce(iv, n), sealed.data[n * step : (n + 1) * step], _last(n == count - 1))
        except InvalidTag as error:
            raise FileBroken from error


def _nonce(iv: bytes, n: int) -> bytes:
    return iv[:8] + n.to_bytes(4, "big")


def _last(last: bool) -> bytes:
    return b"\x01" if last else b"\x00"
