"""SQL of favourites, bookmarks and reposts: what a reader did with posts, and who did it with a post."""

from collections.abc import Sequence

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.feed.types import Marks, Range

#: Marks of one reader that are worth remembering; about older ones the database is asked.
RECENT = 1000


class _Row(msgspec.Struct):
    kind: str
    post_id: int


async def find_marks(tx: Tx, account_id: int) -> Marks:
    """The marks of a reader on the newest posts that they marked."""
    sql = """SELECT kind, post_id FROM feed.mark WHERE account_id = $1 ORDER BY post_id DESC LIMIT $2"""
    rows = await tx.rows(_Row, sql, account_id, RECENT)
    marks = _marks(rows, floor=rows[-1].post_id if len(rows) == RECENT else 0)
    sql = """SELECT coalesce(array_agg(post_id), '{}') FROM feed.authored
             WHERE author_id = $1 AND pinned_at IS NOT NULL"""
    return msgspec.structs.replace(marks, pins=frozenset(await tx.value(sql, account_id)))


async def list_marks(tx: Tx, account_id: int, post_ids: Sequence[int]) -> Marks:
    """The marks of a reader on these posts."""
    sql = "SELECT kind, post_id FROM feed.mark WHERE account_id = $1 AND post_id = ANY($2::bigint[])"
    return _marks(await tx.rows(_Row, sql, account_id, list(post_ids)), floor=0)


def _marks(rows: Sequence[_Row], floor: int) -> Marks:
    kinds: dict[str, set[int]] = {}
    for row in rows:
        kinds.setdefault(row.kind, set()).add(row.post_id)
    of = {kind: frozenset(ids) for kind, ids in kinds.items()}
    none: frozenset[int] = frozenset()
    return Marks(
        favourites=of.get("favourite", none),
        bookmarks=of.get("bookmark", none),
        reblogs=of.get("reblog", none),
        mutes=of.get("mute", none),
        floor=floor,
    )


async def insert_mark(tx: Tx, account_id: int, kind: str, post_id: int, id: int) -> bool:
    """Note that somebody marks a post. False when they have already."""
    sql = "INSERT INTO feed.mark (account_id, kind, post_id, id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
    if not await tx.execute(sql, account_id, kind, post_id, id):
        return False
    if kind in ("favourite", "reblog"):
        sql = """INSERT INTO feed.marked_by (post_id, kind, account_id, id) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO NOTHING"""
        await tx.execute(sql, post_id, kind, account_id, id)
    return True


async def delete_mark(tx: Tx, account_id: int, kind: str, post_id: int) -> int | None:
    """Take a mark back. Its id, which of a repost is the post that was made; None when there was none."""
    sql = "DELETE FROM feed.mark WHERE account_id = $1 AND kind = $2 AND post_id = $3 RETURNING id"
    found: int | None = await tx.value(sql, account_id, kind, post_id)
    if found is not None and kind in ("favourite", "reblog"):
        sql = "DELETE FROM feed.marked_by WHERE post_id = $1 AND kind = $2 AND account_id = $3"
        await tx.execute(sql, post_id, kind, account_id)
    return found


async def find_mark(tx: Tx, account_id: int, kind: str, post_id: int) -> int | None:
    """The id of a mark."""
    sql = "SELECT id FROM feed.mark WHERE account_id = $1 AND kind = $2 AND post_id = $3"
    found: int | None = await tx.value(sql, account_id, kind, post_id)
    return found


class Marked(msgspec.Struct):
    """A mark on a post; marks are listed by their ids."""

    post_id: int
    id: int


async def list_marked(tx: Tx, account_id: int, kind: str, page: Range) -> list[Marked]:
    """A page of the posts that somebody marked, the last marked first. Pages go by the ids of marks."""
    sql = "SELECT post_id, id FROM feed.mark WHERE account_id = $1 AND kind = $2 AND id > $3 AND id < $4"
    rows = await tx.rows(Marked, _page(sql, "id", page), account_id, kind, *_bounds(page))
    return sorted(rows, key=lambda row: row.id, reverse=True)


class Marker(msgspec.Struct):
    """Who marked a post; `id` is the mark, which of a repost is the post that was made."""

    account_id: int
    id: int


async def list_markers(tx: Tx, post_id: int, kind: str, page: Range) -> list[Marker]:
    """A page of those who marked a post, the newest accounts first. Pages go by the ids of accounts."""
    sql = """SELECT account_id, id FROM feed.marked_by
             WHERE post_id = $1 AND kind = $2 AND account_id > $3 AND account_id < $4"""
    rows = await tx.rows(Marker, _page(sql, "account_id", page), post_id, kind, *_bounds(page))
    return sorted(rows, key=lambda row: row.account_id, reverse=True)


def _page(sql: str, column: str, page: Range) -> str:
    return f"{sql} ORDER BY {column} {'DESC' if page.min_id is None else 'ASC'} LIMIT $5"


def _bounds(page: Range) -> tuple[int, int, int]:
    above = max(page.since_id or 0, page.min_id or 0)
    return above, (1 << 63) - 1 if page.max_id is None else page.max_id, page.limit


class Forgotten(msgspec.Struct):
    """A mark on a post that is gone."""

    kind: str
    account_id: int
    id: int


async def delete_marks_of(tx: Tx, post_id: int, limit: int) -> list[Forgotten]:
    """Forget who liked and reposted a post that is gone, some at a time."""
    sql = """DELETE FROM feed.marked_by WHERE post_id = $1 AND (kind, account_id) IN (
                 SELECT kind, account_id FROM feed.marked_by WHERE post_id = $1 LIMIT $2)
             RETURNING kind, account_id, id"""
    gone = await tx.rows(Forgotten, sql, post_id, limit)
    sql = """DELETE FROM feed.mark m USING unnest($2::bigint[], $3::text[]) AS d (account_id, kind)
             WHERE m.account_id = d.account_id AND m.account_id = ANY($2::bigint[]) AND m.kind = d.kind
               AND m.post_id = $1"""
    await tx.execute(sql, post_id, [each.account_id for each in gone], [each.kind for each in gone])
    return gone
