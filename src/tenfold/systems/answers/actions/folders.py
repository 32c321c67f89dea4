"""A folder of files becomes documents of a collection, and follows it when it is added again."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from itertools import batched
from pathlib import Path

from tenfold.platform.errors import NotFound
from tenfold.platform.identity import Principal
from tenfold.platform.jobs import TooManyJobs
from tenfold.systems.answers.actions import library, receiving
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.ingestion import Sent
from tenfold.systems.answers.engine.extraction import kind_of
from tenfold.systems.answers.store import library as store
from tenfold.systems.answers.types.library import MOST_NAME, CreateCollection

#: Files that are sent together, and seconds until those are sent again for which too much waits.
TOGETHER, PAUSE = 16, 1.0


class NoSuchFolder(NotFound):
    """There is no folder {folder}."""


async def add(answers: Answers, principal: Principal, folder: Path, name: str) -> AsyncIterator[str]:
    """Send what can be read in a folder, its folders included, and say what became of it.

    Documents are called by their paths in it, so what didn't change since the last time costs no more than a look. The
    collection is made when there is none of this name. Raises NoSuchFolder, and what sending raises.
    """
    if not await asyncio.to_thread(folder.is_dir):
        raise NoSuchFolder(folder=folder)
    account_id = principal.require(library.SCOPE)
    async with answers.runtime.db.read(fresh=True) as tx:
        collection_id = await store.find_named(tx, account_id, name)
    if collection_id is None:
        collection_id = int((await library.create(answers, CreateCollection(name=name), principal)).id)
    sent, same, alike = 0, 0, 0
    for paths in batched(await asyncio.to_thread(lambda: list(_files(folder))), TOGETHER):
        files: list[Sent] = []
        for path in paths:
            data = await asyncio.to_thread(_read, path, answers.settings.document_bytes)
            if data:
                files.append(Sent(path.relative_to(folder).as_posix(), data))
            else:
                yield f"{path}: left out, it is empty, too large or can't be read"
        while files:
            try:
                received = await receiving.keep(answers, collection_id, files, (), principal)
            except TooManyJobs:
                await asyncio.sleep(PAUSE)  # there is room again when some have been read
                continue
            new = sum(each.state == "waiting" for each in received.items)
            sent, same, alike = sent + new, same + len(received.items) - new, alike + len(received.duplicates)
            for each in received.duplicates:
                yield f"{each.name}: the same as another document"
            break
    yield f"{sent} documents to be read, {same} as they were, {alike} twice; collection {collection_id}"


def _files(folder: Path) -> Iterator[Path]:
    """What can be read, in order; hidden files and folders are nobody's documents, and links lead elsewhere."""
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            path = Path(top, name)
            short = len(path.relative_to(folder).as_posix()) <= MOST_NAME and name.isprintable()
            if short and not name.startswith(".") and not path.is_symlink() and kind_of(name) is not None:
                yield path


def _read(path: Path, most: int) -> bytes:
    """The bytes of a file; none of one that is too large or can't be read."""
    try:
        return path.read_bytes() if path.stat().st_size <= most else b""
    except OSError:
        return b""
