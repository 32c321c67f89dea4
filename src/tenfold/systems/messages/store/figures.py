"""How many messages there were in each hour, counted bit by bit: once a minute all of them is too many."""

from typing import NamedTuple

from tenfold.platform.db import Tx


class Hour(NamedTuple):
    #: Since 1970.
    hour: int
    sent: int
    #: Milliseconds since 1970.
    until: int


async def list_hours(tx: Tx, first: int) -> list[Hour]:
    """From an hour on, as far as they are counted."""
    return await tx.rows(Hour, "SELECT hour, sent, until FROM messages.hourly WHERE hour >= $1", first)


async def count_sent(tx: Tx, since: int, before: int) -> int:
    """Messages, without notes, of a time (milliseconds since 1970)."""
    sql = "SELECT count(*) FROM messages.sent WHERE at >= $1 AND at < $2 AND seq > 0"
    return int(await tx.value(sql, since, before))


async def put_hour(tx: Tx, hour: Hour) -> None:
    sql = """INSERT INTO messages.hourly (hour, sent, until) VALUES ($1, $2, $3)
             ON CONFLICT (hour) DO UPDATE SET sent = $2, until = $3"""
    await tx.execute(sql, *hour)


async def delete_hours(tx: Tx, before: int) -> int:
    return await tx.execute("DELETE FROM messages.hourly WHERE hour < $1", before)
