"""Backups: one of an account, in parts."""

from datetime import datetime
from typing import NamedTuple

from tenfold.platform.db import Tx


class BackupRow(NamedTuple):
    version: int
    sealed: str
    changed_at: datetime


class PartRow(NamedTuple):
    version: int
    number: int
    bytes: int
    #: The object: each writing of a part is one of its own.
    key: str


async def find_backup(tx: Tx, account_id: int) -> BackupRow | None:
    sql = "SELECT version, sealed, changed_at FROM messages.backup WHERE account_id = $1"
    return await tx.find(BackupRow, sql, account_id)


async def lock_backup(tx: Tx, account_id: int) -> BackupRow | None:
    sql = "SELECT version, sealed, changed_at FROM messages.backup WHERE account_id = $1 FOR UPDATE"
    return await tx.find(BackupRow, sql, account_id)


async def put_backup(tx: Tx, account_id: int, version: int, sealed: str) -> bool:
    """Begin or replace. False when there is one of a greater version."""
    sql = """INSERT INTO messages.backup AS b (account_id, version, sealed) VALUES ($1, $2, $3)
             ON CONFLICT (account_id) DO UPDATE SET version = $2, sealed = $3, changed_at = now()
             WHERE b.version <= $2"""
    return await tx.execute(sql, account_id, version, sealed) == 1


async def list_parts(tx: Tx, account_id: int, version: int) -> list[PartRow]:
    sql = """SELECT version, number, bytes, key FROM messages.backup_part
             WHERE account_id = $1 AND version = $2 ORDER BY number"""
    return await tx.rows(PartRow, sql, account_id, version)


async def find_part(tx: Tx, account_id: int, number: int) -> PartRow | None:
    """A part of the version that counts."""
    sql = """SELECT p.version, p.number, p.bytes, p.key
             FROM messages.backup b JOIN messages.backup_part p USING (account_id, version)
             WHERE b.account_id = $1 AND p.number = $2"""
    return await tx.find(PartRow, sql, account_id, number)


async def put_part(tx: Tx, account_id: int, part: PartRow) -> None:
    sql = """INSERT INTO messages.backup_part (account_id, version, number, bytes, key) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (account_id, version, number) DO UPDATE SET bytes = $4, key = $5"""
    await tx.execute(sql, account_id, part.version, part.number, part.bytes, part.key)
    await tx.execute("UPDATE messages.backup SET changed_at = now() WHERE account_id = $1", account_id)


async def delete_parts(tx: Tx, account_id: int, below: int) -> list[PartRow]:
    """The parts of versions below one. Which."""
    sql = """DELETE FROM messages.backup_part WHERE account_id = $1 AND version < $2
             RETURNING version, number, bytes, key"""
    return await tx.rows(PartRow, sql, account_id, below)


async def delete_backup(tx: Tx, account_id: int) -> bool:
    return await tx.execute("DELETE FROM messages.backup WHERE account_id = $1", account_id) == 1
