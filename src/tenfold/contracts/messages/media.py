"""Files of messages: sealed as they are read, uploaded in parts that can be gone on with, opened piece by piece."""

import asyncio
import io
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import BinaryIO

import aiohttp
import msgspec

from tenfold.contracts.messages import content as contents
from tenfold.contracts.messages.api import Api, Refused
from tenfold.contracts.messages.content import File
from tenfold.contracts.messages.entities import BeginUpload, Upload
from tenfold.contracts.messages.files import PART, FileBroken, Opener, Sealer, sealed_size
from tenfold.contracts.messages.keep import Keep

#: Times that a part is sent before it is left for later, and bytes that are read of an answer at once.
TRIES, CHUNK = 5, 256 * 1024
#: Bytes of a file that is fetched into memory.
MOST_FETCHED = 256 * 1024 * 1024


class Media:
    """The files of one device."""

    def __init__(self, api: Api, keep: Keep) -> None:
        self._api = api
        self._keep = keep

    async def upload(self, name: str, kind: str, data: bytes) -> File:
        """Seal and upload a file. What a message says of it. Raises Refused, aiohttp.ClientError."""
        source = io.BytesIO(data)
        file = await self._begin(source, name, kind)
        await self._send(source, file)
        return file

    async def begin(self, conversation: str, path: Path, kind: str, *, text: str = "") -> str:
        """Keep that a file is to be uploaded and said in a conversation. The upload, for `go_on`."""
        with await asyncio.to_thread(path.open, "rb") as source:
            file = msgspec.structs.replace(await self._begin(source, path.name, kind), text=text)
        place = str(await asyncio.to_thread(path.resolve))
        self._keep.run("INSERT INTO upload VALUES (?, ?, ?, ?)", file.upload, conversation, place, contents.check(file))
        return file.upload

    def unfinished(self) -> list[str]:
        """Uploads that were begun and neither finished nor given up."""
        return [name for (name,) in self._keep.rows("SELECT id FROM upload")]

    async def go_on(self, upload: str) -> tuple[str, File]:
        """Upload what is missing of a file. Its conversation, and what is to be said there.

        Raises FileBroken where the file has changed since, Refused where the upload has ended, OSError.
        """
        row = self._keep.one("SELECT conversation, path, content FROM upload WHERE id = ?", upload)
        if row is None:
            raise FileBroken
        file = contents.decode(row[2])
        if not isinstance(file, File):
            raise FileBroken
        with await asyncio.to_thread(Path(row[1]).open, "rb") as source:
            sealer = _sealer(source, file)
            if await asyncio.to_thread(sealer.sha256) != file.sha256:
                raise FileBroken
            await self._send(source, file)
        return row[0], file

    def give_up(self, upload: str) -> None:
        """Forget an upload, because it is finished or never will be."""
        self._keep.run("DELETE FROM upload WHERE id = ?", upload)

    async def _begin(self, source: BinaryIO, name: str, kind: str) -> File:
        key, iv = os.urandom(32), os.urandom(12)
        sealer = Sealer(source, key, iv)
        upload = await self._api.post(Upload, "/media", BeginUpload(size=sealer.size))
        return File(
            name=name,
            type=kind,
            size=source.seek(0, os.SEEK_END),
            key=b64encode(key).decode(),
            iv=b64encode(iv).decode(),
            sha256=await asyncio.to_thread(sealer.sha256),
            upload=upload.id,
            part=PART,
        )

    async def _send(self, source: BinaryIO, file: File) -> None:
        sealer = _sealer(source, file)
        upload = await self._api.get(Upload, f"/media/{file.upload}/state")
        if upload.finished:
            return
        have = set(upload.have)
        for n, at in enumerate(range(0, sealer.size, upload.part)):
            if n not in have:
                await self._put(file.upload, n, await asyncio.to_thread(sealer.read, at, upload.part))
        await self._api.call("POST", f"/media/{file.upload}/finish")

    async def _put(self, upload: str, n: int, data: bytes) -> None:
        for attempt in range(TRIES):
            try:
                await self._api.call("PUT", f"/media/{upload}/parts/{n}", data=data)
            except (aiohttp.ClientError, TimeoutError, Refused) as error:
                passing = not isinstance(error, Refused) or error.status == 429 or error.status >= 500
                if not passing or attempt == TRIES - 1:
                    raise
                await asyncio.sleep((error.retry_after if isinstance(error, Refused) else None) or 2**attempt)
            else:
                return

    async def fetch(self, file: File) -> bytes:
        """A file that somebody sent. Raises FileBroken, Refused, ValueError for one that is too large for memory."""
        if file.size > MOST_FETCHED:
            raise ValueError(f"{file.size:,} bytes are too many; save it instead")
        target = io.BytesIO()
        await self._fetch(file, target)
        return target.getvalue()

    async def save(self, file: File, path: Path) -> None:
        """A file that somebody sent, in a file that isn't there yet. Raises FileExistsError, FileBroken, Refused."""
        with await asyncio.to_thread(path.open, "xb") as target:
            try:
                await self._fetch(file, target)
            except BaseException:
                await asyncio.to_thread(path.unlink)  # nothing of it is to be believed
                raise

    async def _fetch(self, file: File, target: BinaryIO) -> None:
        opener = Opener(b64decode(file.key), b64decode(file.iv), file.part, sealed_size(file.size, file.part)[1])
        async for chunk in self._api.stream(f"/media/{file.upload}", CHUNK):
            for piece in opener.feed(chunk):
                await asyncio.to_thread(target.write, piece)
        opener.end(file.sha256)


def _sealer(source: BinaryIO, file: File) -> Sealer:
    return Sealer(source, b64decode(file.key), b64decode(file.iv), file.part)
