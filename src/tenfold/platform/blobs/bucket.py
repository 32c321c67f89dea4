"""Objects in a bucket of any service that speaks S3, through obstore."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tenfold.platform.blobs.objects import (
    CHUNK,
    IMMUTABLE,
    PUBLIC,
    Blob,
    BlobMissing,
    Entry,
    Intake,
    RangeUnsatisfiable,
    content_type,
    is_harmless,
)
from tenfold.platform.errors import TenfoldError, Unavailable
from tenfold.platform.settings import BadSettings, Settings

log = structlog.get_logger(__name__)

#: Bytes of a part, of which S3 takes 10,000: 80 GiB at most. Besides those on their way, two or three are in memory.
PART = 8 * 1024 * 1024
PARTS_AT_ONCE = 3
#: Seconds that a service gets to be reached, to say the next bytes, and for tries of one request.
CONNECT = 3
SILENCE = 20
RETRY = 15


class _Abandoned(Exception):
    """Ends an upload whose caller has been cancelled."""


class Bucket:
    """A bucket, or the part of one below a prefix and the namespace."""

    def __init__(self, settings: Settings) -> None:
        url = urlsplit(settings.blobs_url or "")
        if url.scheme != "s3" or not url.netloc or "@" in url.netloc or url.query or url.fragment:
            raise BadSettings(reason="blobs_url is s3://bucket or s3://bucket/prefix.")
        if (settings.blobs_key_id is None) != (settings.blobs_secret is None):
            raise BadSettings(reason="blobs_key_id and blobs_secret go together.")
        config: dict[str, Any] = {"region": settings.blobs_region}
        if settings.blobs_endpoint:
            config["endpoint"] = settings.blobs_endpoint
        if settings.blobs_key_id and settings.blobs_secret:  # else what the machine is given: a role, AWS_*
            config["access_key_id"] = settings.blobs_key_id.reveal()
            config["secret_access_key"] = settings.blobs_secret.reveal()
        self._store = S3Store(
            url.netloc,
            prefix="/".join(part for part in (url.path.strip("/"), settings.namespace) if part),
            config=config,  # type: ignore[arg-type]
            client_options={
                "allow_http": (settings.blobs_endpoint or "").startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT),
                "read_timeout": timedelta(seconds=SILENCE),
                "timeout": timedelta(days=1),  # of a whole request: a large object to a slow reader takes long
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=RETRY)},
        )

    async def put(self, key: str, intake: Intake) -> str:
        """Small objects by one request, others part by part, of which nothing is left when it fails."""
        kind = content_type(key)
        attributes = {"Content-Type": kind}  # for readers with a presigned address, who don't come by us
        if not is_harmless(kind):
            attributes["Content-Disposition"] = "attachment"
        if key.startswith(PUBLIC):
            attributes["Cache-Control"] = IMMUTABLE
        pieces = intake.pieces(PART)
        first = await anext(pieces, b"")
        second = await anext(pieces, None)
        with _told(key, missing=Unavailable(part="The bucket")):
            if second is None:
                kept = await obstore.put_async(self._store, key, first, attributes=attributes, use_multipart=False)
                return kept["e_tag"] or await self._etag(key)
            begun = [second, first]
            del first, second  # not to keep them in memory to the end
            return await self._put_parts(key, begun, pieces, attributes)

    async def _put_parts(
        self, key: str, begun: list[bytes], rest: AsyncGenerator[bytes], attributes: dict[str, str]
    ) -> str:
        """Parts are taken back only by an upload that is told of the failure, not by one that is cancelled itself."""
        step: asyncio.Future[bytes | None] | None = None
        abandoned = False

        async def parts() -> AsyncIterator[bytes]:
            nonlocal step
            while begun:
                yield begun.pop()
            while not abandoned:
                step = asyncio.ensure_future(anext(rest, None))
                if (part := await step) is None:
                    return
                yield part
            raise _Abandoned

        upload = asyncio.ensure_future(
            obstore.put_async(
                self._store,
                key,
                parts(),
                attributes=attributes,
                use_multipart=True,
                chunk_size=PART,
                max_concurrency=PARTS_AT_ONCE,
            )
        )
        try:
            return (await asyncio.shield(upload))["e_tag"] or await self._etag(key)
        except asyncio.CancelledError:
            abandoned = True
            if step is not None:
                step.cancel()
            await asyncio.wait({upload}, timeout=RETRY)
            if upload.done() and not upload.cancelled():
                upload.exception()  # seen, so that nobody complains that it wasn't
            raise
        finally:
            if step is not None:
                step.cancel()  # the service may have failed while the source had nothing yet

    async def _etag(self, key: str) -> str:
        return (await self.head(key)).etag

    async def open(self, key: str, start: int, end: int | None) -> Blob:
        wanted: Any = {}
        if start < 0:
            wanted = {"range": {"suffix": -start}}
        elif end is not None:
            wanted = {"range": (start, end)}
        elif start:
            wanted = {"range": {"offset": start}}
        try:
            with _told(key):
                found = await obstore.get_async(self._store, key, options=wanted)
        except Unavailable:
            if not wanted:
                raise
            size = (await self.head(key)).size  # a range behind the end can't be told from other failures but by this
            if size == 0 and start <= 0:
                return await self.open(key, 0, None)
            if start >= size:
                raise RangeUnsatisfiable(size=size) from None
            raise

        async def chunks() -> AsyncIterator[bytes]:
            with _told(key):
                async for chunk in found.stream(CHUNK):
                    yield chunk

        return Blob.of(_entry(key, found.meta), *found.range, chunks)

    async def head(self, key: str) -> Entry:
        with _told(key):
            return _entry(key, await obstore.head_async(self._store, key))

    async def delete(self, keys: list[str]) -> None:
        with _told(keys[0]):
            await obstore.delete_async(self._store, keys)

    async def list(self, folder: str, after: str | None) -> AsyncIterator[Entry]:
        with _told(folder, missing=Unavailable(part="The bucket")):
            async for page in obstore.list(self._store, folder or None, offset=after):
                for meta in page:
                    yield _entry(meta["path"], meta)

    async def presigned(self, key: str, expires_in: timedelta) -> str:
        with _told(key):
            return await obstore.sign_async(self._store, "GET", key, expires_in)


def _entry(key: str, meta: Any) -> Entry:
    modified = meta["last_modified"]
    etag = meta["e_tag"] or f'"{int(modified.timestamp()):x}-{meta["size"]:x}"'
    return Entry(key=key, size=meta["size"], etag=etag, last_modified=modified)


@contextmanager
def _told(key: str, missing: TenfoldError | None = None) -> Iterator[None]:
    """Say what the service says in our words. Its own hold our key's id, so they are cut before the body."""
    try:
        yield
    except FileNotFoundError:
        raise missing or BlobMissing() from None
    except BaseError as error:
        log.warning("blobs_failed", key=key, reason=str(error).partition("<")[0][:300])
        raise Unavailable(part="The object store") from None
