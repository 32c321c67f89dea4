"""What people have reported, until somebody has looked at it."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from tenfold.platform.db import Tx


class ReportRow(NamedTuple):
    id: int
    account_id: int
    by_id: int
    conversation_id: int | None
    reason: str
    quoted: list[str]
    created_at: datetime


async def insert_report(
    tx: Tx, id: int, account_id: int, by_id: int, conversation_id: int | None, reason: str, quoted: Sequence[str]
) -> None:
    sql = """INSERT INTO messages.report (id, account_id, by_id, conversation_id, reason, quoted)
             VALUES ($1, $2, $3, $4, $5, $6)"""
    await tx.execute(sql, id, account_id, by_id, conversation_id, reason, quoted)


async def list_waiting(tx: Tx, limit: int) -> list[ReportRow]:
    """The newest that nobody has looked at."""
    sql = """SELECT id, account_id, by_id, conversation_id, reason, quoted, created_at
             FROM messages.report WHERE closed_at IS NULL ORDER BY id DESC LIMIT $1"""
    return await tx.rows(ReportRow, sql, limit)


async def close_reports(tx: Tx, ids: Sequence[int]) -> int:
    """Somebody has looked at these. How many were waiting."""
    sql = "UPDATE messages.report SET closed_at = now() WHERE id = ANY($1) AND closed_at IS NULL"
    return await tx.execute(sql, ids)


async def delete_closed(tx: Tx, days: int, limit: int) -> int:
    """Reports that were closed so long ago. How many."""
    sql = """DELETE FROM messages.report WHERE id IN (
                 SELECT id FROM messages.report WHERE closed_at < now() - make_interval(days => $1) LIMIT $2)"""
    return await tx.execute(sql, days, limit)
