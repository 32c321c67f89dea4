"""ZIP archives, which may be made to harm: their members one by one, within bounds."""

import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import PurePosixPath

from tenfold.systems.answers.errors import ArchiveRefused

PIECE = 1 << 16


def members(data: bytes, *, most: int, each: int, together: int) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the files in an archive, folders and what systems add for themselves left out.

    At most `most` files, of `each` bytes, and of `together` bytes when they are unpacked. A name is a path without
    "..", so that it can't lead anywhere. Raises ArchiveRefused, at the member where it is found out.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            wanted = [info for info in archive.infolist() if not info.is_dir() and not _is_noise(info.filename)]
            if len(wanted) > most:
                raise ArchiveRefused(reason=f"it has {len(wanted)} files, and at most {most} are taken")
            left = together
            for info in wanted:
                content = _unpacked(archive, info, each, left)
                left -= len(content)
                yield _name(info.filename), content
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise ArchiveRefused(reason="it is broken, or encrypted") from error


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, each: int, left: int) -> bytes:
    content = bytearray()
    # The size that an archive tells is its own claim: what comes out is counted.
    with archive.open(info) as source:
        while piece := source.read(PIECE):
            content += piece
            if len(content) > each:
                raise ArchiveRefused(reason=f"{info.filename[:100]} is larger than {each // 1024**2} MB")
            if len(content) > left:
                raise ArchiveRefused(reason="its files are too large together")
    return bytes(content)


def _name(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part not in ("/", "..", ".")]
    if not parts or ".." in path.parts or path.is_absolute() or "\x00" in name:
        raise ArchiveRefused(reason="one of its files has a name that leads out of it")
    return "/".join(parts)


def _is_noise(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == "__MACOSX" or parts[-1] in (".DS_Store", "Thumbs.db")
