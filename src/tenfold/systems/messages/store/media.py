"""Uploads, how much an account has uploaded, and objects that nobody wants any more."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from tenfold.platform.db import Tx


class UploadRow(NamedTuple):
    id: str
    account_id: int
    #: Bytes of all of it, and of each part but the last.
    size: int
    part: int
    have: list[int]
    finished: bool
    ends_at: datetime


_UPLOAD = "id, account_id, size, part, have, finished, ends_at"


async def insert_upload(tx: Tx, id: str, account_id: int, size: int, part: int, hours: int) -> UploadRow:
    sql = f"""INSERT INTO messages.upload (id, account_id, size, part, ends_at)
              VALUES ($1, $2, $3, $4, now() + make_interval(hours => $5)) RETURNING {_UPLOAD}"""  # noqa: S608
    return await tx.one(UploadRow, sql, id, account_id, size, part, hours)


async def find_upload(tx: Tx, id: str) -> UploadRow | None:
    """An upload that hasn't ended."""
    sql = f"SELECT {_UPLOAD} FROM messages.upload WHERE id = $1 AND ends_at > now()"  # noqa: S608
    return await tx.find(UploadRow, sql, id)


async def lock_upload(tx: Tx, id: str) -> UploadRow | None:
    sql = f"SELECT {_UPLOAD} FROM messages.upload WHERE id = $1 AND ends_at > now() FOR UPDATE"  # noqa: S608
    return await tx.find(UploadRow, sql, id)


async def add_part(tx: Tx, id: str, number: int) -> UploadRow | None:
    """A part is there. None when the upload is finished, or has gone."""
    sql = f"""UPDATE messages.upload SET have = CASE WHEN $2 = ANY(have) THEN have ELSE have || $2 END
              WHERE id = $1 AND NOT finished AND ends_at > now() RETURNING {_UPLOAD}"""  # noqa: S608
    return await tx.find(UploadRow, sql, id, number)


async def finish_upload(tx: Tx, id: str, days: int) -> UploadRow:
    sql = f"""UPDATE messages.upload SET finished = true, ends_at = now() + make_interval(days => $2)
              WHERE id = $1 RETURNING {_UPLOAD}"""  # noqa: S608
    return await tx.one(UploadRow, sql, id, days)


async def list_ended(tx: Tx, limit: int) -> list[UploadRow]:
    sql = f"SELECT {_UPLOAD} FROM messages.upload WHERE ends_at <= now() ORDER BY ends_at LIMIT $1"  # noqa: S608
    return await tx.rows(UploadRow, sql, limit)


async def delete_upload(tx: Tx, id: str) -> bool:
    return await tx.execute("DELETE FROM messages.upload WHERE id = $1 AND ends_at <= now()", id) == 1


async def add_stored(tx: Tx, account_id: int, size: int, most: int) -> bool:
    """Count bytes of an account. False, and nothing counted, when they would be more than `most`."""
    sql = """INSERT INTO messages.stored AS s (account_id, bytes) SELECT $1::bigint, $2::bigint WHERE $2 <= $3::bigint
             ON CONFLICT (account_id) DO UPDATE SET bytes = s.bytes + $2 WHERE s.bytes + $2 <= $3"""
    return await tx.execute(sql, account_id, size, most) == 1


async def subtract_stored(tx: Tx, account_id: int, size: int) -> None:
    sql = "UPDATE messages.stored SET bytes = greatest(0, bytes - $2) WHERE account_id = $1"
    await tx.execute(sql, account_id, size)


class Doomed(NamedTuple):
    account_id: int
    key: str


async def doom(tx: Tx, account_id: int, keys: Sequence[str], seconds: float = 0) -> None:
    """These objects are to go after so long, unless they are spared."""
    sql = """INSERT INTO messages.doomed (account_id, key, due_at)
             SELECT $1, key, now() + make_interval(secs => $3) FROM unnest($2::text[]) AS key
             ON CONFLICT (account_id, key) DO UPDATE SET due_at = excluded.due_at"""
    await tx.execute(sql, account_id, keys, seconds)


async def list_doomed(tx: Tx, limit: int) -> list[Doomed]:
    sql = "SELECT account_id, key FROM messages.doomed WHERE due_at <= now() ORDER BY due_at LIMIT $1"
    return await tx.rows(Doomed, sql, limit)


async def spare(tx: Tx, rows: Sequence[Doomed]) -> None:
    """They stay, or are gone."""
    sql = """DELETE FROM messages.doomed d USING unnest($1::bigint[], $2::text[]) a (account_id, key)
             WHERE d.account_id = a.account_id AND d.key = a.key"""
    await tx.execute(sql, [row.account_id for row in rows], [row.key for row in rows])
