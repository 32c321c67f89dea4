"""Devices and people as their connections need them."""

from datetime import datetime

import msgspec

from tenfold.platform.db import Tx


async def find_device(tx: Tx, account_id: int, device_id: int) -> bool:
    """Whether a device is there, which is noted as seen."""
    sql = "UPDATE messages.device SET seen_at = now() WHERE account_id = $1 AND id = $2"
    return await tx.execute(sql, account_id, device_id) == 1


async def find_last_seen(tx: Tx, account_id: int) -> str:
    """Whom somebody tells when they are there."""
    sql = "SELECT last_seen FROM messages.person WHERE account_id = $1"
    return str(await tx.value(sql, account_id) or "everyone")


async def note_seen(tx: Tx, account_id: int) -> None:
    """Somebody was there until now."""
    sql = """INSERT INTO messages.person (account_id, seen_at) VALUES ($1, now())
             ON CONFLICT (account_id) DO UPDATE SET seen_at = now()"""
    await tx.execute(sql, account_id)


class SeenRow(msgspec.Struct, frozen=True):
    account_id: int
    last_seen: str
    seen_at: datetime | None


async def list_seen(tx: Tx, account_ids: list[int]) -> list[SeenRow]:
    """When people were last there, and whom they tell; who isn't in it has decided nothing and was never there."""
    sql = "SELECT account_id, last_seen, seen_at FROM messages.person WHERE account_id = ANY($1)"
    return await tx.rows(SeenRow, sql, account_ids)


async def list_contacts(tx: Tx, account_id: int, among: list[int]) -> set[int]:
    """Those of the accounts with whom somebody shares a conversation."""
    sql = """SELECT array_agg(DISTINCT o.account_id)
             FROM messages.membership m JOIN messages.member o USING (conversation_id)
             WHERE m.account_id = $1 AND o.account_id = ANY($2)"""
    return set(await tx.value(sql, account_id, among) or ())


async def list_blocking(tx: Tx, account_id: int, among: list[int]) -> set[int]:
    """Those of the accounts who have blocked somebody."""
    sql = "SELECT array_agg(account_id) FROM messages.block WHERE account_id = ANY($2) AND blocked_id = $1"
    return set(await tx.value(sql, account_id, among) or ())
