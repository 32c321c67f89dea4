"""What is kept: keys, which carry the content type, objects as they go in, and objects as they come out."""

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self

from tenfold.platform.errors import NotFound, PayloadTooLarge, TenfoldError

#: Bytes that are read and hashed at once.
CHUNK = 256 * 1024
#: Where objects are that everybody may see, and for how long they may be kept: under one key they never change.
PUBLIC = "public/"
IMMUTABLE = "public, max-age=31536000, immutable"

# Only the last segment has dots, and it has one: so no key is the folder of another, and none leads out of the store.
_KEY = re.compile(r"(?:[A-Za-z0-9_-]{1,128}/){0,15}[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}\.[a-z0-9]{1,10}")
_FOLDER = re.compile(r"[A-Za-z0-9_-]{1,128}(?:/[A-Za-z0-9_-]{1,128}){0,14}")
MOST_KEY = 512

_TYPES = {
    "aac": "audio/aac",
    "avif": "image/avif",
    "csv": "text/csv",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "flac": "audio/flac",
    "gif": "image/gif",
    "gz": "application/gzip",
    "html": "text/html",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "json": "application/json",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4a": "audio/mp4",
    "md": "text/markdown",
    "mkv": "video/matroska",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "m4s": "video/mp4",
    "mpd": "application/dash+xml",
    "ogg": "audio/ogg",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "ts": "video/mp2t",
    "txt": "text/plain",
    "vtt": "text/vtt",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
    "zip": "application/zip",
}
_EXTENSIONS = {kind: name for name, kind in reversed(_TYPES.items())}


class BlobMissing(NotFound):
    """There is no such object."""


class RangeUnsatisfiable(TenfoldError):
    """The object has only {size} bytes."""

    status = 416

    def __init__(self, *, size: int) -> None:
        super().__init__(headers={"Content-Range": f"bytes */{size}"}, size=size)


def checked(key: str) -> str:
    """The key itself. Raises ValueError for what can't be one: keys are made by us, never taken from a stranger."""
    if len(key) > MOST_KEY or not _KEY.fullmatch(key):
        raise ValueError(
            f"{key[:80]!r} can't be a key: folder/name.extension of A-Z a-z 0-9 _ -, dots in the name only"
        )
    return key


def checked_folder(folder: str) -> str:
    """The folder itself, which is "" for all there is. Raises ValueError."""
    if folder and (len(folder) > MOST_KEY or not _FOLDER.fullmatch(folder)):
        raise ValueError(f"{folder[:80]!r} can't be a folder of keys")
    return folder


def content_type(key: str) -> str:
    """What the key's extension stands for; application/octet-stream for an extension that we don't know.

    The key is ours, so whoever uploads can't make one thing pass for another, and a directory needs no second file.
    """
    return _TYPES.get(key.rpartition(".")[2], "application/octet-stream")


def extension(content_type: str) -> str:
    """The extension for keys of this type, without a dot; "bin" for types that we don't know."""
    return _EXTENSIONS.get(content_type.partition(";")[0].strip().lower(), "bin")


def is_harmless(content_type: str) -> bool:
    """Whether a browser can show it without running anything that somebody put into it."""
    media = content_type.startswith(("image/", "audio/", "video/")) and content_type != "image/svg+xml"
    return media or content_type in ("text/plain", "text/vtt")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that was kept: its size in bytes, the SHA-256 of its content in hex, the ETag it is served with."""

    size: int
    sha256: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An object without its content. `etag` is in quotes, as HTTP has it; `size` in bytes."""

    key: str
    size: int
    etag: str
    last_modified: datetime

    @property
    def content_type(self) -> str:
        return content_type(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob(Entry):
    """An object opened for reading: bytes `start` to `end` (exclusive) of it come by `async for chunk in blob`, once.

    All chunks are of one version, even if the object is replaced or deleted meanwhile. What was opened is let go with
    the last reference. Reading raises Unavailable when the store goes away.
    """

    start: int
    end: int
    chunks: Callable[[], AsyncIterator[bytes]] = field(repr=False)

    @classmethod
    def of(cls, entry: Entry, start: int, end: int, chunks: Callable[[], AsyncIterator[bytes]]) -> Self:
        return cls(
            key=entry.key,
            size=entry.size,
            etag=entry.etag,
            last_modified=entry.last_modified,
            start=start,
            end=end,
            chunks=chunks,
        )

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()


class Intake:
    """Content on its way in: cut into pieces of one size, counted, hashed and bounded."""

    def __init__(self, data: bytes | AsyncIterable[bytes], max_bytes: int) -> None:
        self._data = data
        self._max_bytes = max_bytes
        self._sha256 = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    async def pieces(self, size: int) -> AsyncGenerator[bytes]:
        """All of it in pieces of `size` bytes, the last one shorter; none for nothing. Raises PayloadTooLarge."""
        waiting = bytearray()
        async for chunk in self._chunks():
            self.size += len(chunk)
            if self.size > self._max_bytes:
                raise PayloadTooLarge(limit=self._max_bytes)
            self._sha256.update(chunk)
            waiting += chunk
            while len(waiting) >= size:
                yield bytes(memoryview(waiting)[:size])
                del waiting[:size]
        if waiting:
            yield bytes(waiting)

    async def _chunks(self) -> AsyncIterator[memoryview]:
        """Small enough that hashing one delays nobody."""
        if isinstance(self._data, bytes):
            for chunk in _slices(self._data):
                yield chunk
        else:
            async for data in self._data:
                for chunk in _slices(data):
                    yield chunk


def _slices(data: bytes) -> list[memoryview]:
    view = memoryview(data)
    return [view[at : at + CHUNK] for at in range(0, len(view), CHUNK)]


class Store(Protocol):
    """A place for objects. Everything raises Unavailable when it can't be reached; keys have been checked."""

    async def put(self, key: str, intake: Intake) -> str:
        """Keep all of it or nothing, and return its ETag once it would survive our end."""

    async def open(self, key: str, start: int, end: int | None) -> Blob:
        """Raises BlobMissing and RangeUnsatisfiable. A negative `start` counts from the end of the object."""

    async def head(self, key: str) -> Entry:
        """Raises BlobMissing."""

    async def delete(self, keys: list[str]) -> None:
        """Also when they are gone already."""

    def list(self, folder: str, after: str | None) -> AsyncIterator[Entry]:
        """Always in the same order."""
