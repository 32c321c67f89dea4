"""Objects as files of a directory: written aside, synced, and moved to their place in one step."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import structlog

from tenfold.platform.blobs.objects import CHUNK, Blob, BlobMissing, Entry, Intake, RangeUnsatisfiable
from tenfold.platform.errors import Unavailable

log = structlog.get_logger(__name__)

#: Bytes that are written at once, and files that are listed at once.
PIECE = 1024 * 1024
PAGE = 1_000
#: Seconds after which a file that nobody has written to any more is what a killed process has left.
ABANDONED = 24 * 3600.0
#: How often a folder may be taken away by a deletion just before a file is moved into it.
TRIES = 20


class Directory:
    """One folder for the files of a namespace, and one beside it for what is being written."""

    def __init__(self, place: Path, namespace: str) -> None:
        self._root = place / namespace
        self._staged = place / ".staged"  # no namespace begins with a dot

    def sweep(self) -> None:
        """Remove what processes that were killed had begun to write."""
        with suppress(OSError):  # there is none yet; who puts will hear of anything else
            for file in self._staged.iterdir():
                with suppress(FileNotFoundError):
                    if file.stat().st_mtime < time.time() - ABANDONED:
                        file.unlink()

    async def put(self, key: str, intake: Intake) -> str:
        staged = _Staged(self._staged / secrets.token_hex(16))
        try:
            async for piece in intake.pieces(PIECE):
                with _told(key):
                    await _finished(staged.write, piece)
            with _told(key):
                return await _finished(staged.publish, self._root, key)
        except BaseException:
            await _finished(staged.discard)
            raise

    async def open(self, key: str, start: int, end: int | None) -> Blob:
        with _told(key):
            file = await _finished(_File, self._root / key)
        size = file.stat.st_size
        start = max(0, size + start) if start < 0 else start
        if start and start >= size:
            raise RangeUnsatisfiable(size=size)
        end = size if end is None else min(end, size)

        async def chunks() -> AsyncIterator[bytes]:
            at = start
            while at < end:
                with _told(key):
                    chunk = await _finished(os.pread, file.descriptor, min(CHUNK, end - at), at)
                    if not chunk:
                        raise OSError("the file has become shorter")
                yield chunk
                at += len(chunk)

        return Blob.of(_entry(key, file.stat), start, end, chunks)

    async def head(self, key: str) -> Entry:
        with _told(key):
            return _entry(key, await _finished(os.stat, self._root / key))

    async def delete(self, keys: list[str]) -> None:
        with _told(keys[0]):
            await _finished(self._delete, keys)

    def _delete(self, keys: list[str]) -> None:
        changed = set()
        for path in (self._root / key for key in keys):
            with suppress(FileNotFoundError):
                path.unlink()
                folder = path.parent
                with suppress(OSError):  # not empty
                    while folder != self._root:
                        folder.rmdir()
                        folder = folder.parent
                changed.add(folder)
        for folder in changed:
            with suppress(FileNotFoundError):
                _sync(folder)

    async def list(self, folder: str, after: str | None) -> AsyncIterator[Entry]:
        prefix = f"{folder}/" if folder else ""
        entries = _walk(self._root, prefix, after or "")
        while True:
            with _told(folder):
                page = await _finished(list, islice(entries, PAGE))
            for entry in page:
                yield entry
            if len(page) < PAGE:
                return


class _Staged:
    """A file that nobody sees yet. Each method blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def write(self, piece: bytes) -> None:
        if self._file is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._path.open("xb")
        self._file.write(piece)

    def publish(self, root: Path, key: str) -> str:
        """Sync all before anybody sees the name, and the name before we say that it is kept. Returns the ETag."""
        self.write(b"")  # there is a file, even for nothing
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        etag = _etag(os.fstat(self._file.fileno()))
        self._file.close()
        target = root / key
        for left in reversed(range(TRIES)):
            try:
                # mkdir says that it exists, too, when it went between making it and looking at it.
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._path.rename(target)
                break
            except (FileNotFoundError, FileExistsError) as error:
                if not left:
                    raise OSError("its folder goes away again and again") from error
        for folder in target.parents:
            with suppress(FileNotFoundError):  # deleted meanwhile, object and all
                _sync(folder)
            if folder == root.parent:
                break
        return etag

    def discard(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # a full disk; the file goes anyway
                self._file.close()
            self._path.unlink(missing_ok=True)


class _File:
    """A file opened for reading, closed when nobody holds it any more."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.stat = os.fstat(self.descriptor)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


async def _finished[**P, T](call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it in a thread, and don't return before it has ended, even when cancelled: its file may be closed then."""
    work = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work})
        if not work.cancelled():
            work.exception()  # seen, so that nobody complains that it wasn't
        raise


@contextmanager
def _told(key: str) -> Iterator[None]:
    """Say what the operating system says in our words."""
    try:
        yield
    except FileNotFoundError:
        raise BlobMissing from None
    except OSError as error:
        log.warning("blobs_failed", key=key, reason=str(error))
        raise Unavailable(part="The directory of objects") from error


def _entry(key: str, stat: os.stat_result) -> Entry:
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    return Entry(key=key, size=stat.st_size, etag=_etag(stat), last_modified=modified)


def _etag(stat: os.stat_result) -> str:
    """Another file is another inode or another time, to the nanosecond."""
    return f'"{stat.st_ino:x}-{stat.st_mtime_ns:x}-{stat.st_size:x}"'


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _walk(root: Path, prefix: str, after: str) -> Iterator[Entry]:
    """All files below, in the order of their whole keys: a folder stands where its name with a "/" does."""
    try:
        with os.scandir(root / prefix) as found:
            names = sorted(f"{each.name}/" if each.is_dir() else each.name for each in found)
    except FileNotFoundError:
        return
    for name in names:
        key = prefix + name
        if name.endswith("/"):
            if key > after or after.startswith(key):
                yield from _walk(root, key, after)
        elif key > after:
            with suppress(FileNotFoundError):  # deleted meanwhile
                yield _entry(key, (root / key).stat())
