"""SQL of attachments."""

from collections.abc import Sequence
from typing import Any

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.feed.types import Media

_COLUMNS = "id, type, key, preview_key, meta, blurhash, description"


class _Row(msgspec.Struct):
    id: int
    type: Any
    key: str
    preview_key: str
    meta: Any
    blurhash: str | None
    description: str | None

    def media(self) -> Media:
        return Media(**{name: getattr(self, name) for name in self.__struct_fields__})


async def insert_media(tx: Tx, account_id: int, media: Media) -> None:
    """Keep a new upload, which belongs to no post yet."""
    sql = f"""INSERT INTO feed.media (account_id, {_COLUMNS})
              VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8)"""  # noqa: S608  # all ours
    await tx.execute(sql, account_id, *msgspec.structs.astuple(media))


async def find_unused(tx: Tx, account_id: int, id: int) -> Media | None:
    """An upload of an account that belongs to no post."""
    sql = f"""SELECT {_COLUMNS} FROM feed.media
              WHERE account_id = $1 AND id = $2 AND post_id IS NULL"""  # noqa: S608  # all ours
    row = await tx.find(_Row, sql, account_id, id)
    return None if row is None else row.media()


async def is_used(tx: Tx, account_id: int, id: int) -> bool:
    """Whether a post has this upload of an account."""
    sql = "SELECT post_id IS NOT NULL FROM feed.media WHERE account_id = $1 AND id = $2"
    return bool(await tx.value(sql, account_id, id))


async def change_unused(tx: Tx, account_id: int, media: Media) -> bool:
    """Change an upload that belongs to no post. False when there is none."""
    sql = """UPDATE feed.media SET preview_key = $3, meta = $4::jsonb, blurhash = $5, description = $6
             WHERE account_id = $1 AND id = $2 AND post_id IS NULL"""
    changed = await tx.execute(
        sql, account_id, media.id, media.preview_key, media.meta, media.blurhash, media.description
    )
    return changed == 1


async def describe(tx: Tx, account_id: int, media: Sequence[Media]) -> None:
    """Keep what the attachments of a post are described with now."""
    sql = """UPDATE feed.media SET description = new.description, meta = new.meta
             FROM unnest($2::bigint[], $3::text[], $4::jsonb[]) AS new (id, description, meta)
             WHERE media.account_id = $1 AND media.id = new.id"""
    rows = [[each.id for each in media], [each.description for each in media], [each.meta for each in media]]
    await tx.execute(sql, account_id, *rows)


async def attach(tx: Tx, account_id: int, ids: Sequence[int], post_id: int) -> list[Media]:
    """Give uploads of an account to a post: those that no other post has, in no order."""
    sql = f"""UPDATE feed.media SET post_id = $3
              WHERE account_id = $1 AND id = ANY($2::bigint[]) AND created_at > '-infinity'
                AND (post_id IS NULL OR post_id = $3)
              RETURNING {_COLUMNS}"""  # noqa: S608  # all ours
    return [row.media() for row in await tx.rows(_Row, sql, account_id, list(ids), post_id)]


async def release(tx: Tx, account_id: int, post_id: int, *, at_once: bool) -> None:
    """Take its uploads from a post that is gone: for a day another one may have them, or `at_once` none may."""
    sql = """UPDATE feed.media SET post_id = NULL, created_at = CASE WHEN $3 THEN '-infinity' ELSE now() END
             WHERE account_id = $1 AND post_id = $2"""
    await tx.execute(sql, account_id, post_id, at_once)


class Keys(msgspec.Struct):
    """Where an upload and its preview are; "" is nowhere."""

    key: str
    preview_key: str


async def delete_unused(tx: Tx, account_id: int, id: int) -> Keys | None:
    """Forget an upload of an account that belongs to no post. Where it was."""
    sql = """DELETE FROM feed.media WHERE account_id = $1 AND id = $2 AND post_id IS NULL
             RETURNING key, preview_key"""
    return await tx.find(Keys, sql, account_id, id)


async def delete_abandoned(tx: Tx, account_id: int) -> list[Keys]:
    """Forget uploads of an account that for a day no post has wanted. Where they were."""
    sql = """DELETE FROM feed.media
             WHERE account_id = $1 AND post_id IS NULL AND created_at < now() - interval '1 day'
             RETURNING key, preview_key"""
    return await tx.rows(Keys, sql, account_id)


async def list_abandoning(tx: Tx, limit: int) -> list[int]:
    """Accounts that have uploads which for a day no post has wanted."""
    sql = """SELECT coalesce(array_agg(account_id), '{}') FROM (
                 SELECT DISTINCT account_id FROM feed.media
                 WHERE post_id IS NULL AND created_at < now() - interval '1 day' LIMIT $1) owners"""
    found: list[int] = await tx.value(sql, limit)
    return found
