"""Backups: sealed bytes of an account in parts, for its next device."""

import secrets

from tenfold.contracts.messages.entities import Backup, BackupHead
from tenfold.platform.db import Tx
from tenfold.platform.identity import Principal
from tenfold.platform.limits import Limit
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.actions.media import PARTS
from tenfold.systems.messages.actions.telling import milliseconds
from tenfold.systems.messages.errors import BackupFull, BackupNotFound, BackupOutdated, PartNotFound
from tenfold.systems.messages.store import backups as store
from tenfold.systems.messages.store import media
from tenfold.systems.messages.store.backups import PartRow
from tenfold.systems.messages.store.media import Doomed

BEGIN = Limit(name="messages.backup", rates={"anonymous": "120/hour", "enterprise": "10000/hour"})
#: Parts of a backup, however small they are.
MOST_PARTS = 10_000
#: Seconds in which a part that is being written must count, or it is removed.
PATIENCE = 3600.0


async def begin(messages: Messages, data: BackupHead, principal: Principal) -> Backup:
    """Begin a backup or replace its head; the parts of lesser versions go.

    Raises Unauthorized, TooManyRequests, BackupOutdated.
    """
    account_id = principal.require("messages")
    await messages.runtime.limits.take(BEGIN, principal)
    async with messages.runtime.db.transaction() as tx:
        if not await store.put_backup(tx, account_id, data.version, data.sealed):
            there = await store.find_backup(tx, account_id)
            raise BackupOutdated(version=there.version if there else data.version)
        await _doom(tx, account_id, await store.delete_parts(tx, account_id, data.version))
        return await _read(tx, account_id)


async def read(messages: Messages, principal: Principal) -> Backup:
    """Raises Unauthorized, BackupNotFound."""
    account_id = principal.require("messages")
    async with messages.runtime.db.snapshot(fresh=True) as tx:
        return await _read(tx, account_id)


async def _read(tx: Tx, account_id: int) -> Backup:
    found = await store.find_backup(tx, account_id)
    if found is None:
        raise BackupNotFound
    there = await store.list_parts(tx, account_id, found.version)
    return Backup(
        version=found.version,
        sealed=found.sealed,
        parts=[each.number for each in there],
        bytes=sum(each.bytes for each in there),
        changed_at=milliseconds(found.changed_at),
    )


async def expect_part(messages: Messages, number: int, principal: Principal) -> int:
    """How many bytes a part may have, before they are read. Raises Unauthorized, TooManyRequests, PartNotFound."""
    principal.require("messages")
    await messages.runtime.limits.take(PARTS, principal)
    if not 0 <= number < MOST_PARTS:
        raise PartNotFound
    return messages.settings.backup_part_bytes


async def keep_part(messages: Messages, number: int, version: int, data: bytes, principal: Principal) -> Backup:
    """A part of the version that counts, in place of what was there.

    Raises BackupNotFound, BackupOutdated for another version, BackupFull.
    """
    account_id = principal.require("messages")
    part = PartRow(version, number, len(data), f"messages/backups/{account_id}/{secrets.token_hex(16)}.bin")
    async with messages.runtime.db.transaction() as tx:
        await _require_room(messages, tx, account_id, part)
        # Until it counts: whatever ends us before, it goes.
        await media.doom(tx, account_id, [part.key], PATIENCE)
    await messages.runtime.blobs.put(part.key, data)
    async with messages.runtime.db.transaction() as tx:
        before = await _require_room(messages, tx, account_id, part)
        await store.put_part(tx, account_id, part)
        await media.spare(tx, [Doomed(account_id, part.key)])
        if before is not None:
            await _doom(tx, account_id, [before])
        return await _read(tx, account_id)


async def _require_room(messages: Messages, tx: Tx, account_id: int, part: PartRow) -> PartRow | None:
    """The part that it replaces. The backup is locked."""
    found = await store.lock_backup(tx, account_id)
    if found is None:
        raise BackupNotFound
    if found.version != part.version:
        raise BackupOutdated(version=found.version)
    there = {each.number: each for each in await store.list_parts(tx, account_id, part.version)}
    before = there.pop(part.number, None)
    if sum(each.bytes for each in there.values()) + part.bytes > messages.settings.backup_bytes:
        raise BackupFull(most=messages.settings.backup_bytes)
    return before


async def read_part(messages: Messages, number: int, principal: Principal) -> bytes:
    """Raises Unauthorized, TooManyRequests, PartNotFound."""
    account_id = principal.require("messages")
    await messages.runtime.limits.take(PARTS, principal)
    if not 0 <= number < MOST_PARTS:
        raise PartNotFound
    async with messages.runtime.db.read(fresh=True) as tx:
        part = await store.find_part(tx, account_id, number)
    if part is None:
        raise PartNotFound
    # As large as it is, whatever the settings say by now.
    return await messages.runtime.blobs.get(part.key, max_bytes=part.bytes)


async def delete(messages: Messages, principal: Principal) -> None:
    """Nothing is left of it. Raises Unauthorized, BackupNotFound."""
    account_id = principal.require("messages")
    async with messages.runtime.db.transaction() as tx:
        if not await store.delete_backup(tx, account_id):
            raise BackupNotFound
        await _doom(tx, account_id, await store.delete_parts(tx, account_id, 2**31 - 1))


async def _doom(tx: Tx, account_id: int, parts: list[PartRow]) -> None:
    """The objects of parts that no longer count go at the next sweep."""
    await media.doom(tx, account_id, [each.key for each in parts])
