"""Files, sealed in pieces with AES-256-GCM, so that they can be uploaded, resumed and opened piece by piece."""

import hashlib
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

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


class Sealer:
    """A file that is sealed where it lies, piece by piece as it is read. The same key and IV seal it the same again."""

    def __init__(self, source: BinaryIO, key: bytes, iv: bytes, part: int = PART) -> None:
        self._source = source
        self._cipher = AESGCM(key)
        self._iv = iv
        self._part = part
        self._pieces = sealed_size(source.seek(0, os.SEEK_END), part)[0]
        #: Bytes when it is sealed.
        self.size = sealed_size(source.tell(), part)[1]

    def read(self, at: int, count: int) -> bytes:
        """Some of the sealed bytes."""
        step = self._part + TAG
        first, end = at // step, min(-(-(at + count) // step), self._pieces)
        return b"".join(map(self._piece, range(first, end)))[at - first * step :][:count]

    def _piece(self, n: int) -> bytes:
        self._source.seek(n * self._part)
        return self._cipher.encrypt(_nonce(self._iv, n), self._source.read(self._part), _last(n == self._pieces - 1))

    def sha256(self) -> str:
        """Of all the sealed bytes, in base64."""
        digest = hashlib.sha256()
        for n in range(self._pieces):
            digest.update(self._piece(n))
        return b64encode(digest.digest()).decode()


class Opener:
    """Sealed bytes as they come, opened piece by piece. Nothing is to be believed before `end`."""

    def __init__(self, key: bytes, iv: bytes, part: int, size: int) -> None:
        self._cipher = AESGCM(key)
        self._iv = iv
        self._step = part + TAG
        self._left = size
        self._n = 0
        self._held = bytearray()
        self._digest = hashlib.sha256()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces that are whole now. Raises FileBroken."""
        self._left -= len(data)
        if self._left < 0:
            raise FileBroken
        self._digest.update(data)
        self._held += data
        while len(self._held) >= self._step or (not self._left and self._held):
            piece, self._held = bytes(self._held[: self._step]), self._held[self._step :]
            try:
                yield self._cipher.decrypt(_nonce(self._iv, self._n), piece, _last(not self._left and not self._held))
            except InvalidTag as error:
                raise FileBroken from error
            self._n += 1

    def end(self, sha256: str) -> None:
        """All has come. Raises FileBroken where something is missing, or it isn't what the message speaks of."""
        if self._left or b64encode(self._digest.digest()).decode() != sha256:
            raise FileBroken


def sealed_size(size: int, part: int = PART) -> tuple[int, int]:
    """Of a file of so many bytes: its pieces, and its bytes when it is sealed."""
    pieces = max(1, -(-size // part))
    return pieces, size + pieces * TAG


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
