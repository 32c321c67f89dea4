"""What is done to files: locked, checked, put in their place. What blocks runs in threads that end with their task."""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Concatenate

#: Bytes that are read or written at once.
PIECE = 1024 * 1024
#: Seconds between two looks at what another process does.
TICK = 0.2


class Stopped(Exception):
    """Who asked for this isn't waiting for it any more."""


async def in_thread[**P, T](call: Callable[Concatenate[Event, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it in a thread with an event that asks it to stop, and don't return before it has, even when cancelled."""
    stop = Event()
    work = asyncio.ensure_future(asyncio.to_thread(call, stop, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({work})
        if not work.cancelled():
            work.exception()  # seen, so that nobody complains that it wasn't
        raise


def sha256_of(stop: Event, path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            if stop.is_set():
                raise Stopped
    return digest.hexdigest()


def size_of(path: Path) -> int:
    """Bytes; 0 where there is nothing."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def largest(folder: Path) -> int:
    """Bytes of the largest file below."""
    size = 0
    with suppress(FileNotFoundError):  # others move them about meanwhile
        for path in folder.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    size = max(size, path.stat().st_size)
    return size


def put_in_place(stop: Event, partial: Path, final: Path) -> None:
    """Move a finished file to its name, so that a crash at any moment leaves the whole file there or none."""
    _sync(partial, os.O_RDONLY)
    partial.rename(final)
    _sync(final.parent, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@asynccontextmanager
async def locked(folder: Path, waiting: Callable[[], object]) -> AsyncIterator[None]:
    """Hold a folder, alone among processes and tasks; made when it isn't there, removed when it is empty in the end.

    `waiting` is called now and then while another one holds it. The lock is the folder's own, so a killed process
    leaves none behind.
    """
    while (descriptor := _lock(folder)) is None:
        waiting()
        await asyncio.sleep(TICK)
    try:
        yield
    finally:
        _unlock(folder, descriptor)


def _lock(folder: Path) -> int | None:
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it before us may have removed it; another one may have made a new one since.
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _unlock(folder: Path, descriptor: int) -> None:
    with suppress(OSError):  # not empty
        folder.rmdir()
    os.close(descriptor)
