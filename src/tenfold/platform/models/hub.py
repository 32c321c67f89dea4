"""A file from a model hub: HTTPS, going on where it was cut off."""

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import BinaryIO

import httpx

from tenfold.platform.models.errors import SourceFailed
from tenfold.platform.models.files import in_thread, size_of
from tenfold.platform.models.manifest import Hub, ModelFile

HUB = "https://huggingface.co"
#: Seconds: to connect, so that whoever can't reach the hub soon has the next source; and for anything more to arrive.
CONNECT, SILENCE = 4.0, 30.0
#: Times in a row that a connection may break without having brought anything, and seconds before the second one.
TRIES, PAUSE = 5, 0.5

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


async def fetch(source: Hub, file: ModelFile, partial: Path, moved: Callable[[int], None]) -> None:
    """Bring `partial` to the size of `file`, `moved` hearing how many bytes are there. Raises SourceFailed.

    HF_ENDPOINT names another hub, as it does to the field's tools.
    """
    hub = os.environ.get("HF_ENDPOINT") or HUB
    url = f"{hub.rstrip('/')}/{source.repository}/resolve/{source.revision}/{source.path}"
    timeout = httpx.Timeout(SILENCE, connect=CONNECT)
    headers = {"Accept-Encoding": "identity"}
    started = tries = 0
    async with httpx.AsyncClient(timeout=timeout, headers=headers, follow_redirects=True) as client:
        while (before := size_of(partial)) != file.size:
            reason = "The answer is empty."
            try:
                await _receive(client, url, file, partial, moved)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = _words(error)
            tries = 0 if size_of(partial) > before else tries + 1
            started = started or tries == 0
            if tries >= TRIES or not started:
                raise SourceFailed(reason=reason)
            if tries:
                await asyncio.sleep(PAUSE * 2 ** (tries - 1))


async def _receive(
    client: httpx.AsyncClient, url: str, file: ModelFile, partial: Path, moved: Callable[[int], None]
) -> None:
    at = size_of(partial)
    async with client.stream("GET", url, headers={"Range": f"bytes={at}-"} if at else {}) as response:
        response.raise_for_status()
        at, size = _offered(response)
        if size not in (None, file.size):
            raise _refused(partial, f"It has {size} bytes there, not {file.size}.")
        with _open(partial, at) as kept:
            async for piece in response.aiter_bytes():
                at += len(piece)
                if at > file.size:
                    raise _refused(partial, f"It has more than {file.size} bytes there.")
                await in_thread(_write, kept, piece)
                moved(at)


def _offered(response: httpx.Response) -> tuple[int, int | None]:
    """Where the answer begins in the file, and how long the whole file is, where it says so."""
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        if said := _RANGE.fullmatch(response.headers.get("Content-Range", "")):
            return int(said[1]), int(said[2])
        raise SourceFailed(reason="The answer doesn't say which part it is.")
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _refused(partial: Path, reason: str) -> SourceFailed:
    """It's another file, so nothing of it is worth going on with."""
    partial.unlink(missing_ok=True)
    return SourceFailed(reason=reason)


def _open(partial: Path, at: int) -> BinaryIO:
    """Ready to be gone on with from `at`."""
    file = partial.open("r+b" if at else "wb", buffering=0)
    if at > file.seek(0, os.SEEK_END):
        file.close()
        raise SourceFailed(reason="The answer begins later than was asked for.")
    file.truncate(at)
    file.seek(at)
    return file


def _write(_: Event, file: BinaryIO, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[file.write(left) :]


def _words(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"It answers {error.response.status_code} {error.response.reason_phrase}.".replace(" .", ".")
    return f"{str(error) or type(error).__name__}."
