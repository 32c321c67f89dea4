"""Objects by key, wherever they are: put, read in ranges, list, delete, and give out addresses."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterable, AsyncIterator
from datetime import timedelta
from typing import Literal
from urllib.parse import urlencode, urlsplit

from tenfold.platform.blobs.bucket import Bucket
from tenfold.platform.blobs.directory import Directory
from tenfold.platform.blobs.objects import PUBLIC, Blob, Entry, Intake, Store, Stored, checked, checked_folder
from tenfold.platform.errors import Forbidden, PayloadTooLarge
from tenfold.platform.settings import Settings
from tenfold.platform.telemetry import span

#: Bytes of an object, where the caller doesn't say otherwise: put to the store, and read into memory at once.
MOST = 64 * 1024 * 1024
#: How long an address may hold good; S3 allows no more.
LONGEST = timedelta(days=7)


class AddressInvalid(Forbidden):
    """This address doesn't hold good, or no longer. Ask for a new one where you got it."""


class Blobs:
    """Object storage of this installation.

    A key is `folder/name.extension`: letters, digits, _ and -, dots in the name only, at most 512 characters. Its
    extension is the type that the object is served with (`content_type`, `extension`). Anything else is a ValueError,
    since keys are made by us: put what a stranger calls a file into the database. Keys that differ in case only are the
    same on some disks. Objects below "public/" can be read by everybody who knows the key, and never change. Every
    method raises Unavailable when the store can't be reached.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._key = settings.key("blobs")
        self._namespace = settings.namespace
        self._address = settings.address
        self._public = (settings.blobs_public_url or f"{settings.address}/blobs").rstrip("/")
        #: Where browsers are sent for objects, besides the platform itself: for the pages' content security policy.
        self.origins = [
            f"{parts.scheme}://{parts.netloc}"
            for parts in map(urlsplit, filter(None, (settings.blobs_public_url, settings.blobs_endpoint)))
        ]

    async def put(self, key: str, data: bytes | AsyncIterable[bytes], *, max_bytes: int = MOST) -> Stored:
        """Keep an object, in place of what was there: readers see all of the one or all of the other.

        What comes in chunks passes through a bounded part of memory. When this returns the object outlives process and
        power; when it doesn't, there is nothing of it, unless it is cancelled so late that there is all of it. Raises
        PayloadTooLarge beyond `max_bytes`.
        """
        intake = Intake(data, max_bytes)
        with span("blobs.put", {"blobs.key": checked(key)}):
            etag = await self._store.put(key, intake)
        return Stored(intake.size, intake.sha256, etag)

    async def get(self, key: str, *, max_bytes: int = MOST) -> bytes:
        """All of a small object. Raises BlobMissing, and PayloadTooLarge if it has more than `max_bytes`."""
        with span("blobs.get", {"blobs.key": checked(key)}):
            blob = await self._store.open(key, 0, None)
            if blob.size > max_bytes:
                raise PayloadTooLarge(limit=max_bytes)
            return b"".join([chunk async for chunk in blob])

    async def open(self, key: str, *, start: int = 0, end: int | None = None) -> Blob:
        """An object, to be read in chunks; of a part of it as a slice has it, bytes from `start` up to `end`.

        A negative `start` is a number of last bytes, and then there is no `end`; an `end` behind the object's is its
        end. Raises BlobMissing, and RangeUnsatisfiable if the object ends before `start`.
        """
        if end is not None and not 0 <= start < end:
            raise ValueError("a part has a start and a later end")
        with span("blobs.open", {"blobs.key": checked(key)}):
            return await self._store.open(key, start, end)

    async def head(self, key: str) -> Entry:
        """An object without its content. Raises BlobMissing."""
        with span("blobs.head", {"blobs.key": checked(key)}):
            return await self._store.head(key)

    async def delete(self, *keys: str) -> None:
        """Delete objects, as far as they are still there."""
        if keys:
            with span("blobs.delete", {"blobs.keys": len(keys)}):
                await self._store.delete([checked(key) for key in keys])

    def list(self, folder: str = "", *, after: str | None = None) -> AsyncIterator[Entry]:
        """What is in a folder and the folders in it, from behind the key `after` in an order that stays the same.

        That is the order of the keys, but for services which, unlike S3 itself, have an order of their own (SeaweedFS).
        """
        return self._store.list(checked_folder(folder), None if after is None else checked(after))

    def public_url(self, key: str) -> str:
        """Where everybody finds an object below "public/", for good. Raises ValueError for any other."""
        if not checked(key).startswith(PUBLIC):
            raise ValueError(f"{key!r} isn't public")
        return f"{self._public}/{key}"

    async def url(
        self,
        key: str,
        *,
        expires_in: timedelta,
        method: Literal["GET", "PUT"] = "GET",
        max_bytes: int = MOST,
    ) -> str:
        """An address by which whoever has it may read the object, or write it, until it expires. At most seven days.

        Reads go to S3 where the objects are there. Writes always go through us, since an address of S3 can bind neither
        size nor type, and may be repeated until they expire: take a copy under another key of what you have checked.
        """
        checked(key)
        if not timedelta() < expires_in <= LONGEST:
            raise ValueError("an address holds good for up to seven days")
        if method == "GET" and isinstance(self._store, Bucket):
            return await self._store.presigned(key, expires_in)
        values = {"expires": int(time.time() + expires_in.total_seconds())}
        if method == "PUT":
            values["max_bytes"] = max_bytes
        signature = self._sign(method, key, *values.values())
        return f"{self._address}/blobs/{key}?{urlencode(values | {'signature': signature})}"

    def verify(self, method: Literal["GET", "PUT"], key: str, query: dict[str, str]) -> int:
        """The limit that an address of ours has: seconds it still holds good for a GET, bytes for a PUT.

        Raises AddressInvalid.
        """
        names = ("expires",) if method == "GET" else ("expires", "max_bytes")
        texts = [query.get(name, "") for name in names]
        if not all(text.isascii() and text.isdigit() and len(text) < 16 for text in texts):
            raise AddressInvalid
        values = [int(text) for text in texts]
        signature = self._sign(method, key, *values)
        left = values[0] - time.time()
        if not hmac.compare_digest(signature.encode(), query.get("signature", "").encode()) or left <= 0:
            raise AddressInvalid
        return int(left) if method == "GET" else values[1]

    def _sign(self, method: str, key: str, *values: int) -> str:
        text = "\n".join((self._namespace, method, key, *map(str, values)))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def open_blobs(settings: Settings) -> Blobs:
    """The store of the settings: the directory `<data>/blobs`, or a bucket. Raises BadSettings."""
    if settings.blobs_url is not None:
        return Blobs(Bucket(settings), settings)
    directory = Directory(settings.data / "blobs", settings.namespace)
    directory.sweep()
    return Blobs(directory, settings)
