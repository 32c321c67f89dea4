"""The text of attached files, taken out of them by a process that is killed when it takes too much."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from tempfile import TemporaryFile
from typing import Final

import msgspec
import structlog

from tenfold.platform.errors import Unavailable
from tenfold.systems.chat.engine.extraction import Read, Task, bounded
from tenfold.systems.chat.rules.kinds import kind_of
from tenfold.systems.chat.settings import ChatSettings

log = structlog.get_logger(__name__)

#: The extractor: isolated, so that neither the folder it starts in nor variables can bring code of their own.
COMMAND: Final = (sys.executable, "-I", "-c", "from tenfold.systems.chat.engine.extraction import main; main()")
_REFUSED: Final = {
    "archive": "an archive, which isn't opened",
    "binary": "no text, and no format that is known here",
}


class Reader:
    """Reads files, a few at a time.

    What is UTF-8 is decoded here. Everything else is parsed by code that may hang, swell or break on what strangers
    made: in a process for each file, without an environment, whose time, memory and writing are limited.
    """

    def __init__(self, settings: ChatSettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(settings.reading_at_once, thread_name_prefix="reading")
        self._free = settings.reading_at_once + settings.reading_waiting

    async def read(self, data: bytes, name: str, media_type: str = "") -> Read:
        """The text of a file; of a picture, a description. What can't be read says why, and has no text.

        Raises Unavailable when too many wait already.
        """
        if self._free <= 0:
            raise Unavailable(part="The reading of files")
        self._free -= 1
        try:
            work = partial(_read, data, name, media_type, self._settings)
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._free += 1

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _read(data: bytes, name: str, media_type: str, settings: ChatSettings) -> Read:
    if not data:
        return Read(how="an empty file")
    if len(data) > settings.reading_bytes:
        return Read(how=f"not read: it has more than {settings.reading_bytes} bytes")
    kind = kind_of(data, name, media_type)
    if kind in _REFUSED:
        return Read(how=f"not read: {_REFUSED[kind]}")
    if kind == "text":
        try:
            return bounded(data.decode("utf-8-sig"), settings.reading_characters, "text, UTF-8")
        except UnicodeDecodeError:
            pass  # something older: to be guessed
    task = Task(
        kind=kind,
        seconds=settings.reading_seconds,
        memory=settings.reading_memory,
        characters=settings.reading_characters,
        pages=settings.reading_pages,
        scans=settings.reading_scans,
    )
    return _extract(task, data)


def _extract(task: Task, data: bytes) -> Read:
    """Let a process do it. Files stand between us and it: neither can keep the other waiting."""
    with TemporaryFile() as source, TemporaryFile() as target:
        source.write(msgspec.json.encode(task) + b"\n" + data)
        source.seek(0)
        try:
            done = subprocess.run(
                COMMAND, stdin=source, stdout=target, stderr=subprocess.DEVNULL, env={}, cwd=os.sep, check=False,
                timeout=task.seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Read(how=f"not read: it takes longer than {task.seconds} seconds")
        target.seek(0)
        try:
            return msgspec.json.decode(target.read(8 * task.characters + 10_000), type=Read)
        except msgspec.DecodeError:
            log.warning("extraction_broke", kind=task.kind, code=done.returncode)
            return Read(how="not read: it is broken, or needs too much memory")
