"""SQL of timelines: what fills a home, who gets a post, and the local, tag and list timelines."""

from collections.abc import Sequence

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.feed.types import Range


async def list_followee_ids(tx: Tx, follower_id: int) -> list[int]:
    """Whom somebody follows."""
    found: list[int] = await tx.value(
        "SELECT coalesce(array_agg(followee_id), '{}') FROM feed.following WHERE follower_id = $1", follower_id
    )
    return found


async def list_home_ids(
    tx: Tx, reader_id: int, author_ids: Sequence[int], followee_ids: Sequence[int], floor: int, limit: int
) -> list[int]:
    """The newest posts above an id that a reader's home holds of these authors, oldest first.

    No direct ones; replies only to the author themselves, to the reader, or to somebody whom the reader follows.
    """
    sql = """SELECT array_agg(post_id) FROM (
                 SELECT post_id FROM feed.authored
                 WHERE author_id = ANY($1::bigint[]) AND post_id > $2 AND visibility <> 'direct'
                   AND (NOT reply OR author_id = $3 OR reply_to_account_id = $3
                        OR reply_to_account_id = ANY($4::bigint[]))
                 ORDER BY post_id DESC LIMIT $5) newest"""
    found: list[int] | None = await tx.value(sql, list(author_ids), floor, reader_id, list(followee_ids), limit)
    return sorted(found or ())


async def list_follower_ids(tx: Tx, account_id: int, first: int, end: int, limit: int) -> list[int]:
    """Followers with ids from `first` up to `end`, not included, the smallest ids first."""
    # As text, which costs a third of an array to read.
    sql = """SELECT string_agg(follower_id::text, ' ') FROM (
                 SELECT follower_id FROM feed.follower
                 WHERE followee_id = $1 AND follower_id >= $2 AND follower_id < $3
                 ORDER BY follower_id LIMIT $4) AS piece"""
    found: str | None = await tx.value(sql, account_id, first, end, limit)
    return [] if found is None else [int(each) for each in found.split(" ")]


class _Counted(msgspec.Struct):
    id: int
    count: int


async def list_follower_counts(tx: Tx, account_ids: Sequence[int]) -> dict[int, int]:
    """How many follow each, as counted so far."""
    sql = "SELECT account_id AS id, followers AS count FROM feed.account_count WHERE account_id = ANY($1::bigint[])"
    return {each.id: each.count for each in await tx.rows(_Counted, sql, account_ids)}


async def list_followers_among(tx: Tx, account_id: int, ids: Sequence[int]) -> list[int]:
    """Those of some accounts that follow another one."""
    sql = """SELECT string_agg(follower_id::text, ' ') FROM feed.follower
             WHERE followee_id = $1 AND follower_id = ANY(string_to_array($2, ' ')::bigint[])"""
    found: str | None = await tx.value(sql, account_id, " ".join(map(str, ids)))
    return [] if found is None else [int(each) for each in found.split(" ")]


async def list_piece_starts(tx: Tx, author_id: int, size: int) -> list[int]:
    """The first follower of each piece of so many."""
    sql = """SELECT coalesce(array_agg(follower_id ORDER BY follower_id), '{}') FROM (
                 SELECT follower_id, row_number() OVER (ORDER BY follower_id) AS place
                 FROM feed.follower WHERE followee_id = $1) numbered
             WHERE place % $2 = 1 OR $2 = 1"""
    found: list[int] = await tx.value(sql, author_id, size)
    return found


async def list_public_ids(tx: Tx, page: Range, *, only_media: bool) -> list[int]:
    """A page of the public posts of all, without replies and reposts, newest first."""
    sql = """SELECT id FROM feed.post
             WHERE visibility = 'public' AND reblog_of_id IS NULL
               AND (in_reply_to_account_id IS NULL OR in_reply_to_account_id = author_id)
               AND id > $1 AND id < $2 AND (NOT $3 OR media <> '[]')"""
    return await _page(tx, sql, page, only_media)


async def list_tagged_ids(
    tx: Tx, tag: str, page: Range, *, any_of: Sequence[str], all_of: Sequence[str], none_of: Sequence[str], media: bool
) -> list[int]:
    """A page of the public posts under a tag (or any of some), under all of others, and none of yet others."""
    sql = """SELECT DISTINCT post_id AS id FROM feed.tagged t
             WHERE tag = ANY($4::text[]) AND post_id > $1 AND post_id < $2 AND (NOT $3 OR media)
               AND NOT EXISTS (SELECT FROM feed.tagged n WHERE n.tag = ANY($6::text[]) AND n.post_id = t.post_id)
               AND (SELECT count(*) FROM feed.tagged a WHERE a.tag = ANY($5::text[]) AND a.post_id = t.post_id)
                   = cardinality($5::text[])"""
    return await _page(tx, sql, page, media, [tag, *any_of], list(all_of), list(none_of))


async def list_authored_by(tx: Tx, author_ids: Sequence[int], page: Range, *, replies: str) -> list[int]:
    """A page of what these authors wrote, for a list. Replies to others: none, or those among the list ("list").

    With "followed" they are all here, and the caller keeps those to whom the reader follows.
    """
    sql = """SELECT post_id AS id FROM feed.authored
             WHERE author_id = ANY($4::bigint[]) AND post_id > $1 AND post_id < $2 AND visibility <> 'direct'
               AND (NOT $3 OR media)
               AND (NOT reply OR $5 = 'followed' OR ($5 = 'list' AND reply_to_account_id = ANY($4::bigint[])))"""
    return await _page(tx, sql, page, False, list(author_ids), replies)


async def _page(tx: Tx, sql: str, page: Range, media: bool, *args: object) -> list[int]:
    """Ids of a query that bounds them by $1 and $2, in the order of the page, newest first."""
    ascending = page.min_id is not None
    low, high = max(page.since_id or 0, page.min_id or 0), page.max_id if page.max_id is not None else (1 << 63) - 1
    limit = f"${len(args) + 4}"
    order = "ASC" if ascending else "DESC"
    ordered = f"SELECT array_agg(id) FROM ({sql} ORDER BY id {order} LIMIT {limit}) page"  # noqa: S608  # all ours
    found: list[int] | None = await tx.value(ordered, low, high, media, *args, page.limit)
    return sorted(found or (), reverse=True)
