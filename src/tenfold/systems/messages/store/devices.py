"""Devices, their keys, and what is to go with them.

Where devices of several accounts are joined, `account_id = ANY($1)` says beforehand which partitions that can be.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from tenfold.contracts.messages.entities import AddDevice, OneTimeKey
from tenfold.platform.db import Tx

_DEVICE = "account_id, id, name, identity_key, signing_key, signature, added_at, seen_at, push IS NOT NULL AS pushed"
_QUALIFIED = """d.account_id, d.id, d.name, d.identity_key, d.signing_key, d.signature, d.added_at, d.seen_at,
                d.push IS NOT NULL AS pushed"""


class DeviceRow(NamedTuple):
    account_id: int
    id: int
    name: str
    identity_key: str
    signing_key: str
    signature: str
    added_at: datetime
    seen_at: datetime | None
    pushed: bool


class Owned(NamedTuple):
    """A device by its numbers."""

    account_id: int
    id: int


class KeyRow(NamedTuple):
    account_id: int
    device_id: int
    id: str
    key: str
    signature: str


class Counted(NamedTuple):
    account_id: int
    device_id: int
    left: int


async def insert_device(tx: Tx, account_id: int, id: int, data: AddDevice) -> DeviceRow:
    sql = f"""INSERT INTO messages.device (account_id, id, name, identity_key, signing_key, signature,
                                           fallback_id, fallback_key, fallback_signature)
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING {_DEVICE}"""  # noqa: S608
    fallback = data.fallback_key
    keys = data.identity_key, data.signing_key, data.signature
    return await tx.one(DeviceRow, sql, account_id, id, data.name, *keys, fallback.id, fallback.key, fallback.signature)


async def list_devices(tx: Tx, account_id: int) -> list[DeviceRow]:
    """An account's, the oldest first."""
    sql = f"SELECT {_DEVICE} FROM messages.device WHERE account_id = $1 ORDER BY id"  # noqa: S608
    return await tx.rows(DeviceRow, sql, account_id)


async def find_device(tx: Tx, account_id: int, id: int) -> DeviceRow | None:
    sql = f"SELECT {_DEVICE} FROM messages.device WHERE account_id = $1 AND id = $2"  # noqa: S608
    return await tx.find(DeviceRow, sql, account_id, id)


async def list_member_devices(tx: Tx, conversation_id: int) -> list[DeviceRow]:
    """The devices of a conversation's members."""
    sql = f"""SELECT {_QUALIFIED} FROM messages.member_device m
              JOIN messages.device d ON d.account_id = m.account_id AND d.id = m.device_id
              WHERE m.conversation_id = $1 ORDER BY d.account_id, d.id"""  # noqa: S608
    return await tx.rows(DeviceRow, sql, conversation_id)


async def add_keys(tx: Tx, account_id: int, device_id: int, keys: Sequence[OneTimeKey], most: int) -> None:
    """Keep prekeys, as far as there is room for them beside those that are there."""
    sql = """INSERT INTO messages.one_time_key (account_id, device_id, id, key, signature)
             SELECT $1, $2, k.id, k.key, k.signature
             FROM unnest($3::text[], $4::text[], $5::text[]) WITH ORDINALITY k (id, key, signature, place)
             ORDER BY place
             LIMIT greatest(0, $6 - (SELECT count(*) FROM messages.one_time_key
                                     WHERE account_id = $1 AND device_id = $2))
             ON CONFLICT DO NOTHING"""
    columns = [each.id for each in keys], [each.key for each in keys], [each.signature for each in keys]
    await tx.execute(sql, account_id, device_id, *columns, most)


async def update_fallback(tx: Tx, account_id: int, device_id: int, key: OneTimeKey) -> None:
    sql = """UPDATE messages.device SET fallback_id = $3, fallback_key = $4, fallback_signature = $5
             WHERE account_id = $1 AND id = $2"""
    await tx.execute(sql, account_id, device_id, key.id, key.key, key.signature)


async def count_keys(tx: Tx, devices: Sequence[Owned]) -> dict[int, int]:
    """How many one-time keys are left of each device."""
    sql = """SELECT k.account_id, k.device_id, count(*) AS "left"
             FROM unnest($1::bigint[], $2::bigint[]) a (account_id, device_id)
             JOIN messages.one_time_key k USING (account_id, device_id)
             WHERE k.account_id = ANY($1) GROUP BY k.account_id, k.device_id"""
    rows = await tx.rows(Counted, sql, [each.account_id for each in devices], [each.id for each in devices])
    return {row.device_id: row.left for row in rows}


async def list_shared(tx: Tx, conversation_ids: Sequence[int], device_ids: Sequence[int]) -> list[Owned]:
    """Those of the devices that are in these conversations."""
    sql = """SELECT DISTINCT account_id, device_id AS id FROM messages.member_device
             WHERE device_id = ANY($2) AND conversation_id = ANY($1)"""
    return await tx.rows(Owned, sql, conversation_ids, device_ids)


async def take_keys(tx: Tx, devices: Sequence[Owned]) -> list[KeyRow]:
    """One one-time key of each device that has any left, which nobody else is given."""
    # Materialized: inside the join, keys would be looked for again for each row that it meets.
    sql = """WITH one AS MATERIALIZED (
                 SELECT a.account_id, a.device_id, k.id
                 FROM unnest($1::bigint[], $2::bigint[]) a (account_id, device_id)
                 CROSS JOIN LATERAL (
                     SELECT id FROM messages.one_time_key o
                     WHERE o.account_id = a.account_id AND o.device_id = a.device_id AND o.account_id = ANY($1)
                     ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
                 ) k
             )
             DELETE FROM messages.one_time_key k USING one
             WHERE k.account_id = one.account_id AND k.device_id = one.device_id AND k.id = one.id
               AND k.account_id = ANY($1)
             RETURNING k.account_id, k.device_id, k.id, k.key, k.signature"""
    return await tx.rows(KeyRow, sql, [each.account_id for each in devices], [each.id for each in devices])


async def list_fallbacks(tx: Tx, devices: Sequence[Owned]) -> list[KeyRow]:
    """The fallback keys of those of the devices that are there."""
    sql = """SELECT d.account_id, d.id AS device_id, d.fallback_id AS id, d.fallback_key AS key,
                    d.fallback_signature AS signature
             FROM unnest($1::bigint[], $2::bigint[]) a (account_id, id) JOIN messages.device d USING (account_id, id)
             WHERE d.account_id = ANY($1)"""
    return await tx.rows(KeyRow, sql, [each.account_id for each in devices], [each.id for each in devices])


async def delete_device(tx: Tx, account_id: int, id: int) -> bool:
    """A device with its keys, and all that waits for it. False when there is none."""
    for table in ("one_time_key", "inbox", "note", "push"):
        sql = f"DELETE FROM messages.{table} WHERE account_id = $1 AND device_id = $2"  # noqa: S608
        await tx.execute(sql, account_id, id)
    return await tx.execute("DELETE FROM messages.device WHERE account_id = $1 AND id = $2", account_id, id) == 1


async def set_push(tx: Tx, account_id: int, id: int, subscription: Any) -> bool:
    """Keep how a device is woken; None: not at all. False when there is no such device."""
    sql = "UPDATE messages.device SET push = $3 WHERE account_id = $1 AND id = $2"
    return await tx.execute(sql, account_id, id, subscription) == 1


class Left(NamedTuple):
    """A device, and whether it was left behind."""

    account_id: int
    id: int
    behind: bool


async def list_left(tx: Tx, after: Owned, days: int, most: int, limit: int) -> list[Left]:
    """Devices after one, with those left behind: not connected for so many days, or with more than `most` waiting."""
    sql = """SELECT d.account_id, d.id,
                    coalesce(d.seen_at, d.added_at) < now() - make_interval(days => $3)
                    OR EXISTS (SELECT FROM messages.inbox i WHERE i.account_id = d.account_id AND i.device_id = d.id
                               OFFSET $4) AS behind
             FROM messages.device d WHERE (d.account_id, d.id) > ($1, $2)
             ORDER BY d.account_id, d.id LIMIT $5"""
    return await tx.rows(Left, sql, *after, days, most, limit)


async def estimate_devices(tx: Tx) -> int:
    """How many devices there are, as far as the last autovacuum knows: exact counting would read them all."""
    sql = """SELECT CASE WHEN reltuples < 10000 THEN -1 ELSE reltuples END
             FROM pg_class WHERE oid = 'messages.device'::regclass"""
    estimate = int(await tx.value(sql))
    return estimate if estimate >= 0 else int(await tx.value("SELECT count(*) FROM messages.device"))
