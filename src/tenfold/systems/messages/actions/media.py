"""Files that clients have sealed: sent in parts, finished, and read by whoever knows their id."""

import secrets
from collections.abc import AsyncIterator
from itertools import islice

from tenfold.contracts.messages.entities import BeginUpload, Upload
from tenfold.platform.blobs import Blobs
from tenfold.platform.identity import Principal
from tenfold.platform.limits import Limit
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.actions.telling import milliseconds
from tenfold.systems.messages.errors import (
    PartMismatch,
    PartNotFound,
    StorageFull,
    UploadFinished,
    UploadIncomplete,
    UploadNotFound,
    UploadTooLarge,
)
from tenfold.systems.messages.rules import parts
from tenfold.systems.messages.store import media as store
from tenfold.systems.messages.store.media import Doomed, UploadRow

#: Files that an account begins to send, and parts of files and backups that it sends.
BEGIN = Limit(
    name="messages.media",
    rates={"anonymous": "60/hour", "free": "600/hour burst 200", "plus": "5000/hour", "enterprise": "100000/hour"},
)
PARTS = Limit(name="messages.parts", rates={"anonymous": "20000/hour burst 5000", "enterprise": "1000000/hour"})
#: Hours in which a file that was begun must be finished.
PATIENCE = 24
#: Files, and objects, that are removed at once.
BATCH, OBJECTS = 100, 500


async def begin(messages: Messages, data: BeginUpload, principal: Principal) -> Upload:
    """Room for a file. Raises Unauthorized, TooManyRequests, UploadTooLarge, StorageFull."""
    account_id = principal.require("messages")
    await messages.runtime.limits.take(BEGIN, principal)
    settings = messages.settings
    if data.size > settings.media_bytes:
        raise UploadTooLarge(most=settings.media_bytes, fields={"size": f"is at most {settings.media_bytes}"})
    async with messages.runtime.db.transaction() as tx:
        if not await store.add_stored(tx, account_id, data.size, settings.account_bytes):
            raise StorageFull(most=settings.account_bytes)
        row = await store.insert_upload(tx, secrets.token_hex(16), account_id, data.size, settings.part_bytes, PATIENCE)
    return _shown(row)


async def expect_part(messages: Messages, upload_id: str, number: int, principal: Principal) -> int:
    """How many bytes a part must have, before they are read.

    Raises UploadNotFound for those of others, too, PartNotFound, UploadFinished, TooManyRequests.
    """
    row = await _own(messages, upload_id, principal)
    await messages.runtime.limits.take(PARTS, principal)
    if row.finished:
        raise UploadFinished
    size = parts.size_of(number, row.size, row.part)
    if size is None:
        raise PartNotFound
    return size


async def keep_part(messages: Messages, upload_id: str, number: int, data: bytes, principal: Principal) -> Upload:
    """A part, in place of what was there. Raises what `expect_part` does, and PartMismatch."""
    row = await _own(messages, upload_id, principal)
    expected = parts.size_of(number, row.size, row.part)
    if expected is None:
        raise PartNotFound
    if len(data) != expected:
        raise PartMismatch(size=len(data), expected=expected)
    if row.finished:
        raise UploadFinished
    await messages.runtime.blobs.put(_key(row.id, number), data)
    async with messages.runtime.db.transaction() as tx:
        kept = await store.add_part(tx, row.id, number)
    if kept is None:
        raise UploadFinished
    return _shown(kept)


async def read_state(messages: Messages, upload_id: str, principal: Principal) -> Upload:
    """One's own upload. Raises UploadNotFound."""
    return _shown(await _own(messages, upload_id, principal))


async def finish(messages: Messages, upload_id: str, principal: Principal) -> Upload:
    """From now on it can be read, and stays as it is. Raises UploadNotFound, UploadIncomplete."""
    row = await _own(messages, upload_id, principal)
    async with messages.runtime.db.transaction() as tx:
        locked = await store.lock_upload(tx, row.id)
        if locked is None:
            raise UploadNotFound
        if locked.finished:
            return _shown(locked)
        missing = parts.count(locked.size, locked.part) - len(locked.have)
        if missing:
            raise UploadIncomplete(missing=missing)
        return _shown(await store.finish_upload(tx, row.id, messages.settings.media_days))


async def find_finished(messages: Messages, upload_id: str, principal: Principal) -> Upload:
    """A file for whoever knows its id. Raises Unauthorized, UploadNotFound."""
    principal.require("messages")
    async with messages.runtime.db.read(fresh=True) as tx:
        row = await store.find_upload(tx, upload_id)
    if row is None or not row.finished:
        raise UploadNotFound
    return _shown(row)


async def read(blobs: Blobs, upload: Upload, start: int, end: int) -> AsyncIterator[bytes]:
    """The bytes of a file from `start` up to `end`. Raises Unavailable."""
    for piece in parts.pieces(start, end, upload.part):
        async for chunk in await blobs.open(_key(upload.id, piece.number), start=piece.start, end=piece.end):
            yield chunk


async def remove_ended(messages: Messages) -> int:
    """Remove files whose time is over, and those that nobody has finished. How many."""
    removed = 0
    while True:
        async with messages.runtime.db.read(fresh=True) as tx:
            rows = await store.list_ended(tx, BATCH)
        for row in rows:
            numbers = iter(range(parts.count(row.size, row.part)))
            while some := list(islice(numbers, OBJECTS)):
                await messages.runtime.blobs.delete(*(_key(row.id, number) for number in some))
            async with messages.runtime.db.transaction() as tx:
                # The row goes last, so that whatever breaks off here is begun again.
                if await store.delete_upload(tx, row.id):
                    await store.subtract_stored(tx, row.account_id, row.size)
                    removed += 1
        if len(rows) < BATCH:
            return removed


async def remove_doomed(messages: Messages) -> int:
    """Remove objects that no row wants. How many."""
    removed = 0
    while True:
        async with messages.runtime.db.read(fresh=True) as tx:
            rows = await store.list_doomed(tx, OBJECTS)
        await messages.runtime.blobs.delete(*(row.key for row in rows))
        async with messages.runtime.db.transaction() as tx:
            await store.spare(tx, [Doomed(row.account_id, row.key) for row in rows])
        removed += len(rows)
        if len(rows) < OBJECTS:
            return removed


async def _own(messages: Messages, upload_id: str, principal: Principal) -> UploadRow:
    account_id = principal.require("messages")
    async with messages.runtime.db.read(fresh=True) as tx:
        row = await store.find_upload(tx, upload_id)
    if row is None or row.account_id != account_id:
        raise UploadNotFound
    return row


def _key(upload_id: str, number: int) -> str:
    return f"messages/media/{upload_id}/{number}.bin"


def _shown(row: UploadRow) -> Upload:
    return Upload(
        id=row.id,
        size=row.size,
        part=row.part,
        have=sorted(row.have),
        finished=row.finished,
        ends_at=milliseconds(row.ends_at),
    )
