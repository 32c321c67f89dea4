"""Who is to be woken by a push message: accounts for which something came, and devices that haven't taken it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tenfold.platform.db import Tx


class Due(NamedTuple):
    """A device that is to be sent a push message. Without `subscription` it has no subscription any more."""

    account_id: int
    device_id: int
    #: Which attempt this is, from 1.
    attempt: int
    subscription: Any


class _Id(NamedTuple):
    id: int


async def insert_waking(tx: Tx, account_ids: Sequence[int], seconds: float) -> None:
    """Look in a while at those of the accounts that have a device which can be woken. In order, for all to agree."""
    sql = """INSERT INTO messages.waking (account_id, due_at)
             SELECT DISTINCT account_id, now() + make_interval(secs => $2) FROM messages.device
             WHERE account_id = ANY($1) AND push IS NOT NULL ORDER BY account_id
             ON CONFLICT (account_id) DO NOTHING"""
    await tx.execute(sql, account_ids, seconds)


async def take_due(tx: Tx, limit: int) -> list[int]:
    """Accounts that it is time to look at. What comes for them from now on is another row's."""
    sql = """DELETE FROM messages.waking WHERE account_id IN (
                 SELECT account_id FROM messages.waking WHERE due_at <= now()
                 ORDER BY account_id LIMIT $1 FOR UPDATE SKIP LOCKED)
             RETURNING account_id AS id"""
    return [row.id for row in await tx.rows(_Id, sql, limit)]


async def add_pushes(tx: Tx, account_ids: Sequence[int], before: int) -> None:
    """Wake those of their devices for which something waits since before a time (milliseconds since 1970)."""
    sql = """INSERT INTO messages.push (account_id, device_id)
             SELECT d.account_id, d.id FROM messages.device d
             WHERE d.account_id = ANY($1) AND d.push IS NOT NULL AND (
                 EXISTS (SELECT FROM messages.inbox i WHERE i.account_id = d.account_id AND i.device_id = d.id
                                                        AND i.account_id = ANY($1)
                                                        AND i.at <= $2)
                 OR EXISTS (SELECT FROM messages.note n WHERE n.account_id = d.account_id AND n.device_id = d.id
                                                          AND n.account_id = ANY($1)
                                                          AND n.at <= $2))
             ORDER BY d.account_id, d.id
             ON CONFLICT (account_id, device_id) DO NOTHING"""
    await tx.execute(sql, account_ids, before)


async def list_fresh(tx: Tx, account_ids: Sequence[int], after: int) -> list[int]:
    """Those of the accounts with a device that can be woken, for which something came after a time and waits."""
    sql = """SELECT DISTINCT d.account_id AS id FROM messages.device d
             WHERE d.account_id = ANY($1) AND d.push IS NOT NULL AND (
                 EXISTS (SELECT FROM messages.inbox i WHERE i.account_id = d.account_id AND i.device_id = d.id
                                                        AND i.account_id = ANY($1)
                                                        AND i.at > $2)
                 OR EXISTS (SELECT FROM messages.note n WHERE n.account_id = d.account_id AND n.device_id = d.id
                                                          AND n.account_id = ANY($1)
                                                          AND n.at > $2))"""
    return [row.id for row in await tx.rows(_Id, sql, account_ids, after)]


async def lease_pushes(tx: Tx, limit: int, seconds: float) -> list[Due]:
    """Devices that are to be sent one now, and again after so long unless it is done, doubling with each attempt."""
    sql = """WITH due AS (
                 SELECT account_id, device_id FROM messages.push WHERE due_at <= now()
                 ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
             ), leased AS (
                 UPDATE messages.push p SET attempts = attempts + 1,
                        due_at = now() + make_interval(secs => $2 * 2 ^ least(p.attempts, 10))
                 FROM due WHERE p.account_id = due.account_id AND p.device_id = due.device_id
                 RETURNING p.account_id, p.device_id, p.attempts
             )
             SELECT l.account_id, l.device_id, l.attempts::int AS attempt, d.push AS subscription
             FROM leased l LEFT JOIN messages.device d ON d.account_id = l.account_id AND d.id = l.device_id"""
    return await tx.rows(Due, sql, limit, seconds)


async def end_push(tx: Tx, due: Due) -> None:
    """It is done, unless somebody else has taken it up meanwhile."""
    sql = "DELETE FROM messages.push WHERE account_id = $1 AND device_id = $2 AND attempts = $3"
    await tx.execute(sql, due.account_id, due.device_id, due.attempt)


async def postpone_push(tx: Tx, due: Due, seconds: float) -> None:
    """The push service wants to be left alone for so long."""
    sql = """UPDATE messages.push SET due_at = now() + make_interval(secs => $4)
             WHERE account_id = $1 AND device_id = $2 AND attempts = $3"""
    await tx.execute(sql, due.account_id, due.device_id, due.attempt, seconds)


async def forget_subscription(tx: Tx, due: Due) -> None:
    """The push service knows it no longer. One that was made meanwhile stays."""
    sql = "UPDATE messages.device SET push = NULL WHERE account_id = $1 AND id = $2 AND push = $3"
    await tx.execute(sql, due.account_id, due.device_id, due.subscription)
