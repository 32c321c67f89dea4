"""SQL of notifications and of how far somebody has read. All of one account's are together."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.feed.rules.notifications import Span
from tenfold.systems.feed.types import NoticeKind, Range

type Timeline = Literal["home", "notifications"]

_END = (1 << 63) - 1


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody did and an account is told of."""

    account_id: int
    id: int
    kind: NoticeKind
    from_id: int
    post_id: int | None
    created_at: datetime


class NewNotice(msgspec.Struct, frozen=True, kw_only=True):
    account_id: int
    kind: NoticeKind
    from_id: int
    post_id: int | None = None


class Told(msgspec.Struct, frozen=True):
    """A notification that was not there before."""

    account_id: int
    id: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which notifications somebody wants to see."""

    kinds: Collection[NoticeKind]
    #: Only from this account.
    from_id: int | None = None
    #: Not from these.
    hidden: Collection[int] = ()


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """How far somebody has read a timeline."""

    timeline: Timeline
    last_read_id: int
    version: int
    updated_at: datetime


# --- reading --------------------------------------------------------------------------------------------------------

_NOTICE = "account_id, id, kind, from_id, post_id, created_at"


async def list_notices(tx: Tx, account_id: int, asked: Asked, page: Range) -> list[Notice]:
    """A page of notifications, newest first."""
    ascending = page.min_id is not None
    low, high = max(page.since_id or 0, page.min_id or 0), page.max_id if page.max_id is not None else _END
    sql = f"""SELECT {_NOTICE} FROM feed.notification
              WHERE account_id = $1 AND id > $2 AND id < $3 AND kind = ANY($4::text[])
                AND ($5::bigint IS NULL OR from_id = $5) AND from_id <> ALL($6::bigint[])
              ORDER BY id {"ASC" if ascending else "DESC"} LIMIT $7"""  # noqa: S608  # all ours
    rows = await tx.rows(
        Notice, sql, account_id, low, high, list(asked.kinds), asked.from_id, list(asked.hidden), page.limit
    )
    return rows[::-1] if ascending else rows


async def list_notices_by_id(tx: Tx, account_id: int, ids: Sequence[int]) -> list[Notice]:
    """Those of an account's notifications with these ids, oldest first."""
    sql = f"""SELECT {_NOTICE} FROM feed.notification
              WHERE account_id = $1 AND id = ANY($2::bigint[]) ORDER BY id"""  # noqa: S608
    return await tx.rows(Notice, sql, account_id, list(ids))


async def count_unread(tx: Tx, account_id: int, asked: Asked, most: int) -> int:
    """Notifications beyond what was read, counted no further than `most`."""
    sql = """SELECT count(*) FROM (
                 SELECT FROM feed.notification
                 WHERE account_id = $1 AND kind = ANY($2::text[]) AND ($3::bigint IS NULL OR from_id = $3)
                   AND from_id <> ALL($4::bigint[]) AND id > coalesce((
                       SELECT last_read_id FROM feed.marker WHERE account_id = $1 AND timeline = 'notifications'), 0)
                 LIMIT $5) counted"""
    return int(await tx.value(sql, account_id, list(asked.kinds), asked.from_id, list(asked.hidden), most))


class Group(msgspec.Struct):
    """How many notifications a span has, the newest of them, and who did the last ones."""

    count: int
    newest: int
    from_ids: list[int]


async def list_groups(
    tx: Tx, account_id: int, spans: Sequence[Span], hidden: Collection[int], people: int
) -> list[Group]:
    """Of each span, in order, all of it. Of those who did it the last so many, the last one first."""
    sql = """SELECT g.count, coalesce(g.newest, 0) AS newest, g.from_ids[1:$7] AS from_ids
             FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
                  WITH ORDINALITY AS s (kind, post_id, low, high, place)
             CROSS JOIN LATERAL (
                 SELECT count(*) AS count, max(id) AS newest,
                        coalesce(array_agg(from_id ORDER BY id DESC), '{}') AS from_ids
                 FROM feed.notification
                 WHERE account_id = $1 AND id >= s.low AND id < s.high AND kind = s.kind
                   AND post_id IS NOT DISTINCT FROM s.post_id AND from_id <> ALL($6::bigint[])) g
             ORDER BY s.place"""
    columns: list[list[Any]] = [[getattr(span, name) for span in spans] for name in Span.__struct_fields__]
    return await tx.rows(Group, sql, account_id, *columns, list(hidden), people)


async def list_direct_ids(tx: Tx, account_id: int, below: int, limit: int) -> list[int]:
    """The newest posts below an id that the account wrote directly to somebody, or in which it is mentioned."""
    sql = """SELECT coalesce(array_agg(post_id), '{}') FROM (
                 (SELECT post_id FROM feed.authored
                  WHERE author_id = $1 AND visibility = 'direct' AND post_id < $2 ORDER BY post_id DESC LIMIT $3)
                 UNION
                 (SELECT post_id FROM feed.notification
                  WHERE account_id = $1 AND kind = 'mention' AND post_id < $2 ORDER BY id DESC LIMIT $3)) found"""
    found: list[int] = await tx.value(sql, account_id, below, limit)
    return sorted(found, reverse=True)


# --- writing --------------------------------------------------------------------------------------------------------


def _in_order(notices: Sequence[NewNotice]) -> list[NewNotice]:
    """Sorted, so that two batches which meet wait for each other and don't deadlock."""
    return sorted(notices, key=lambda each: (each.account_id, each.kind, each.from_id, each.post_id or 0))


async def insert_notices(tx: Tx, notices: Sequence[NewNotice], ids: Sequence[int]) -> list[Told]:
    """Tell accounts of things (by a new id each), those that they weren't told of before. What is new."""
    ordered = _in_order(notices)
    sql = """INSERT INTO feed.notification (id, account_id, kind, from_id, post_id)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[])
             ON CONFLICT DO NOTHING RETURNING account_id, id"""
    columns = [[getattr(each, name) for each in ordered] for name in NewNotice.__struct_fields__]
    return await tx.rows(Told, sql, list(ids), *columns)


async def delete_undone(tx: Tx, notices: Sequence[NewNotice]) -> None:
    """Take back what was told, because it was undone."""
    sql = """DELETE FROM feed.notification
             WHERE account_id = $1 AND kind = $2 AND from_id = $3 AND coalesce(post_id, 0) = coalesce($4::bigint, 0)"""
    await tx.execute_many(sql, [msgspec.structs.astuple(each) for each in _in_order(notices)])


async def delete_about(tx: Tx, posts: Mapping[int, int]) -> None:
    """Take back what authors were told of posts (the post, and its author) that are gone."""
    sql = "DELETE FROM feed.notification WHERE account_id = $1 AND post_id = $2"
    await tx.execute_many(sql, sorted((author_id, post_id) for post_id, author_id in posts.items()))


async def delete_notice(tx: Tx, account_id: int, id: int) -> bool:
    sql = "DELETE FROM feed.notification WHERE account_id = $1 AND id = $2"
    return await tx.execute(sql, account_id, id) == 1


async def delete_span(tx: Tx, account_id: int, span: Span) -> None:
    """Remove all that belong together."""
    sql = """DELETE FROM feed.notification
             WHERE account_id = $1 AND id >= $2 AND id < $3 AND kind = $4 AND post_id IS NOT DISTINCT FROM $5"""
    await tx.execute(sql, account_id, span.low, span.high, span.kind, span.post_id)


async def delete_notices(tx: Tx, account_id: int) -> None:
    """Remove all notifications of an account."""
    await tx.execute("DELETE FROM feed.notification WHERE account_id = $1", account_id)


async def delete_old(tx: Tx, days: int, limit: int) -> int:
    """Remove notifications that are older than so many days, of all accounts, at most `limit`. How many."""
    sql = """DELETE FROM feed.notification WHERE (account_id, id) IN (
                 SELECT account_id, id FROM feed.notification
                 WHERE created_at < now() - make_interval(days => $1) LIMIT $2)"""
    return await tx.execute(sql, days, limit)


# --- what is still so when an event comes to be handled ---------------------------------------------------------------


class Pair(msgspec.Struct, frozen=True):
    """Who did something, and whom or what they did it to."""

    from_id: int
    to_id: int


async def list_marked(tx: Tx, kind: Literal["favourite", "reblog"], pairs: Sequence[Pair]) -> set[Pair]:
    """Those pairs of an account and a post that it has marked."""
    sql = """SELECT m.account_id AS from_id, m.post_id AS to_id
             FROM unnest($1::bigint[], $2::bigint[]) AS asked (from_id, to_id)
             JOIN feed.marked_by m ON m.post_id = asked.to_id AND m.kind = $3 AND m.account_id = asked.from_id"""
    return set(await tx.rows(Pair, sql, [each.from_id for each in pairs], [each.to_id for each in pairs], kind))


async def list_follows(tx: Tx, pairs: Sequence[Pair]) -> set[Pair]:
    """Those pairs of accounts where the first follows the second."""
    sql = """SELECT f.follower_id AS from_id, f.followee_id AS to_id
             FROM unnest($1::bigint[], $2::bigint[]) AS asked (from_id, to_id)
             JOIN feed.following f ON f.follower_id = asked.from_id AND f.followee_id = asked.to_id"""
    return set(await tx.rows(Pair, sql, [each.from_id for each in pairs], [each.to_id for each in pairs]))


async def list_requests(tx: Tx, pairs: Sequence[Pair]) -> set[Pair]:
    """Those pairs of accounts where the first has asked to follow the second, and waits."""
    sql = """SELECT r.follower_id AS from_id, r.followee_id AS to_id
             FROM unnest($1::bigint[], $2::bigint[]) AS asked (from_id, to_id)
             JOIN feed.follow_request r ON r.followee_id = asked.to_id AND r.follower_id = asked.from_id"""
    return set(await tx.rows(Pair, sql, [each.from_id for each in pairs], [each.to_id for each in pairs]))


async def list_notified(tx: Tx, author_ids: Sequence[int], after: Pair, limit: int) -> list[Pair]:
    """Followers who want to know of each post (`from_id`), by the authors that they follow; so many after a pair."""
    sql = """SELECT follower_id AS from_id, followee_id AS to_id FROM feed.following
             WHERE followee_id = ANY($1::bigint[]) AND notify AND (followee_id, follower_id) > ($2, $3)
             ORDER BY followee_id, follower_id LIMIT $4"""
    return await tx.rows(Pair, sql, list(author_ids), after.to_id, after.from_id, limit)


async def list_reposters(tx: Tx, post_id: int, limit: int) -> list[int]:
    """Who has reposted a post, the last ones first."""
    sql = """SELECT coalesce(array_agg(account_id), '{}') FROM (
                 SELECT account_id FROM feed.marked_by WHERE post_id = $1 AND kind = 'reblog'
                 ORDER BY id DESC LIMIT $2) newest"""
    found: list[int] = await tx.value(sql, post_id, limit)
    return found


# --- markers --------------------------------------------------------------------------------------------------------


async def list_markers(tx: Tx, account_id: int, timelines: Collection[str]) -> list[Marker]:
    sql = """SELECT timeline, last_read_id, version, updated_at FROM feed.marker
             WHERE account_id = $1 AND timeline = ANY($2::text[])"""
    return await tx.rows(Marker, sql, account_id, list(timelines))


async def set_marker(tx: Tx, account_id: int, timeline: Timeline, last_read_id: int) -> Marker:
    """Note how far somebody has read."""
    sql = """INSERT INTO feed.marker (account_id, timeline, last_read_id) VALUES ($1, $2, $3)
             ON CONFLICT (account_id, timeline) DO UPDATE
             SET last_read_id = excluded.last_read_id, version = marker.version + 1, updated_at = now()
             RETURNING timeline, last_read_id, version, updated_at"""
    return await tx.one(Marker, sql, account_id, timeline, last_read_id)
