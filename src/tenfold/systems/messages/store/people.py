"""What people have decided about themselves, and whom they have blocked."""

from collections.abc import Sequence
from typing import NamedTuple

from tenfold.platform.db import Tx


class Choices(NamedTuple):
    """What somebody has decided."""

    read_receipts: bool = True
    last_seen: str = "everyone"


class _Id(NamedTuple):
    id: int


async def lock_people(tx: Tx, account_ids: Sequence[int]) -> None:
    """Hold people until the transaction ends, in the order of their ids, before any conversation is locked.

    Whoever gives somebody a device or a conversation holds them: so neither misses the other's.
    """
    sql = """INSERT INTO messages.person (account_id) SELECT id FROM unnest($1::bigint[]) AS id ORDER BY id
             ON CONFLICT DO NOTHING"""
    await tx.execute(sql, account_ids)
    sql = """SELECT account_id FROM messages.person WHERE account_id = ANY($1)
             ORDER BY account_id FOR NO KEY UPDATE"""
    await tx.execute(sql, account_ids)


async def find_choices(tx: Tx, account_id: int) -> Choices:
    sql = "SELECT read_receipts, last_seen FROM messages.person WHERE account_id = $1"
    return await tx.find(Choices, sql, account_id) or Choices()


async def update_choices(tx: Tx, account_id: int, read_receipts: bool | None, last_seen: str | None) -> Choices:
    """Change what isn't None. What holds now."""
    sql = """INSERT INTO messages.person AS p (account_id, read_receipts, last_seen)
             VALUES ($1, coalesce($2, true), coalesce($3, 'everyone'))
             ON CONFLICT (account_id) DO UPDATE SET read_receipts = coalesce($2, p.read_receipts),
                                                    last_seen = coalesce($3, p.last_seen)
             RETURNING read_receipts, last_seen"""
    return await tx.one(Choices, sql, account_id, read_receipts, last_seen)


async def list_secretive(tx: Tx, account_ids: Sequence[int]) -> set[int]:
    """Those of the accounts who don't tell what they have read."""
    sql = "SELECT account_id AS id FROM messages.person WHERE account_id = ANY($1) AND NOT read_receipts"
    return {row.id for row in await tx.rows(_Id, sql, account_ids)}


async def insert_block(tx: Tx, account_id: int, blocked_id: int) -> bool:
    """False when they are blocked already."""
    sql = "INSERT INTO messages.block (account_id, blocked_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    return await tx.execute(sql, account_id, blocked_id) == 1


async def delete_block(tx: Tx, account_id: int, blocked_id: int) -> bool:
    return (
        await tx.execute("DELETE FROM messages.block WHERE account_id = $1 AND blocked_id = $2", account_id, blocked_id)
        == 1
    )


async def blocks(tx: Tx, account_id: int, other_id: int) -> bool:
    """Whether somebody has blocked another."""
    sql = "SELECT EXISTS (SELECT FROM messages.block WHERE account_id = $1 AND blocked_id = $2)"
    return bool(await tx.value(sql, account_id, other_id))


async def list_blocked(tx: Tx, account_id: int) -> list[int]:
    """Whom somebody has blocked, the last one first."""
    sql = "SELECT blocked_id AS id FROM messages.block WHERE account_id = $1 ORDER BY created_at DESC, blocked_id"
    return [row.id for row in await tx.rows(_Id, sql, account_id)]
