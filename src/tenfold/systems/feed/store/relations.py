"""SQL of who follows, blocks and mutes whom. Pages are ordered by the id of the account that they list."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.feed.types import Range, Relations

type Kind = Literal["blocks", "blocked", "mutes", "unfollowed", "requested"]


class _Row(msgspec.Struct):
    kind: str
    others: list[int]


class _Mute(msgspec.Struct):
    other_id: int
    notifications: bool
    until: float


class Relationship(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody stands to an account: https://docs.joinmastodon.org/entities/Relationship/."""

    id: str
    following: bool
    showing_reblogs: bool
    notifying: bool
    followed_by: bool
    blocking: bool
    blocked_by: bool
    muting: bool
    muting_notifications: bool
    muting_expires_at: datetime | None
    requested: bool
    requested_by: bool
    note: str
    languages: None = None
    domain_blocking: bool = False
    endorsed: bool = False


class Wanted(msgspec.Struct, frozen=True):
    """What a follower wants to see."""

    follower_id: int
    reblogs: bool
    notify: bool


# --- what a reader has hidden ---------------------------------------------------------------------------------------


async def find_relations(tx: Tx, account_id: int, celebrities: Collection[int]) -> Relations:
    """What keeps others' posts from a reader, and which of the celebrities they follow."""
    sql = """SELECT kind, array_agg(other_id) AS others FROM feed.relation
             WHERE account_id = $1 AND kind IN ('blocks', 'blocked', 'unfollowed') GROUP BY kind"""
    sets = {row.kind: frozenset(row.others) for row in await tx.rows(_Row, sql, account_id)}
    sql = """SELECT other_id, notifications, coalesce(extract(epoch FROM until), 0)::float8 AS until FROM feed.relation
             WHERE account_id = $1 AND kind = 'mutes' AND (until IS NULL OR until > now())"""
    mutes = await tx.rows(_Mute, sql, account_id)
    sql = "SELECT coalesce(array_agg(followee_id), '{}') FROM feed.following WHERE follower_id = $1 AND NOT reblogs"
    quiet = frozenset(await tx.value(sql, account_id))
    sql = """SELECT coalesce(array_agg(member_id), '{}') FROM feed.list_member m
             JOIN feed.list l ON l.account_id = m.account_id AND l.id = m.list_id
             WHERE m.account_id = $1 AND l.account_id = $1 AND l.exclusive"""
    listed = frozenset(await tx.value(sql, account_id))
    return Relations(
        **sets,
        mutes={mute.other_id: mute.until for mute in mutes},
        silenced=frozenset(mute.other_id for mute in mutes if mute.notifications),
        quiet=quiet,
        listed=listed,
        celebrities=await list_followed(tx, account_id, list(celebrities)) if celebrities else frozenset(),
        celebrities_known=len(celebrities),
    )


async def list_followed(tx: Tx, account_id: int, among: Sequence[int]) -> frozenset[int]:
    """Those of some accounts that somebody follows."""
    sql = """SELECT coalesce(array_agg(followee_id), '{}') FROM feed.following
             WHERE follower_id = $1 AND followee_id = ANY($2::bigint[])"""
    return frozenset(await tx.value(sql, account_id, list(among)))


async def list_relationships(tx: Tx, account_id: int, ids: Sequence[int]) -> list[Relationship]:
    """How an account stands to others, in the order of their ids as given."""
    sql = """SELECT o.id::text AS id, f.followee_id IS NOT NULL AS following,
                    coalesce(f.reblogs, false) AS showing_reblogs, coalesce(f.notify, false) AS notifying,
                    b.follower_id IS NOT NULL AS followed_by,
                    'blocks' = ANY(k.kinds) AS blocking, 'blocked' = ANY(k.kinds) AS blocked_by,
                    'mutes' = ANY(k.kinds) AS muting, coalesce(k.notifications, false) AS muting_notifications,
                    k.until AS muting_expires_at, 'requested' = ANY(k.kinds) AS requested,
                    r.follower_id IS NOT NULL AS requested_by, coalesce(n.comment, '') AS note
             FROM unnest($2::bigint[]) WITH ORDINALITY AS o (id, place)
             LEFT JOIN feed.following f ON f.follower_id = $1 AND f.followee_id = o.id
             LEFT JOIN feed.follower b ON b.followee_id = $1 AND b.follower_id = o.id
             LEFT JOIN feed.follow_request r ON r.followee_id = $1 AND r.follower_id = o.id
             LEFT JOIN feed.account_note n ON n.account_id = $1 AND n.about_id = o.id
             CROSS JOIN LATERAL (
                 SELECT coalesce(array_agg(kind), '{}') AS kinds,
                        bool_or(notifications) FILTER (WHERE kind = 'mutes') AS notifications,
                        max(until) FILTER (WHERE kind = 'mutes') AS until
                 FROM feed.relation
                 WHERE account_id = $1 AND other_id = o.id AND kind IN ('blocks', 'blocked', 'mutes', 'requested')
                   AND (until IS NULL OR until > now())) k
             ORDER BY o.place"""
    return await tx.rows(Relationship, sql, account_id, list(ids))


# --- following ------------------------------------------------------------------------------------------------------


async def lock_pair(tx: Tx, one: int, other: int) -> None:
    """Let changes between two accounts come one after the other, without a lock on either account."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashint8extended($1, $2))", min(one, other), max(one, other))


async def are_blocked(tx: Tx, account_id: int, other_id: int) -> bool:
    """Whether either has blocked the other."""
    sql = """SELECT EXISTS (SELECT FROM feed.relation
                            WHERE account_id = $1 AND kind IN ('blocks', 'blocked') AND other_id = $2)"""
    return bool(await tx.value(sql, account_id, other_id))


async def count_following(tx: Tx, account_id: int, most: int) -> int:
    """Whom somebody follows or has asked to, counted no further than `most`."""
    sql = """SELECT count(*) FROM (
                 (SELECT FROM feed.following WHERE follower_id = $1 LIMIT $2)
                 UNION ALL
                 (SELECT FROM feed.relation WHERE account_id = $1 AND kind = 'requested' LIMIT $2)) counted"""
    return int(await tx.value(sql, account_id, most))


async def insert_follow(tx: Tx, follower_id: int, followee_id: int, *, reblogs: bool, notify: bool) -> bool:
    """Follow, in both directions' tables. False when it is so already."""
    sql = """INSERT INTO feed.following (follower_id, followee_id, reblogs, notify) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING"""
    if not await tx.execute(sql, follower_id, followee_id, reblogs, notify):
        return False
    sql = "INSERT INTO feed.follower (followee_id, follower_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    await tx.execute(sql, followee_id, follower_id)
    await delete_relation(tx, follower_id, "unfollowed", followee_id)
    return True


async def change_follow(
    tx: Tx, follower_id: int, followee_id: int, *, reblogs: bool | None, notify: bool | None
) -> bool:
    """Change what a follower wants to see; None leaves it. False when they don't follow."""
    sql = """UPDATE feed.following SET reblogs = coalesce($3, reblogs), notify = coalesce($4, notify)
             WHERE follower_id = $1 AND followee_id = $2"""
    return await tx.execute(sql, follower_id, followee_id, reblogs, notify) == 1


async def delete_follow(tx: Tx, follower_id: int, followee_id: int) -> bool:
    """Unfollow, in both directions' tables and in the follower's lists. What is being delivered is hidden for a day."""
    sql = "DELETE FROM feed.following WHERE follower_id = $1 AND followee_id = $2"
    if not await tx.execute(sql, follower_id, followee_id):
        return False
    sql = "DELETE FROM feed.follower WHERE followee_id = $1 AND follower_id = $2"
    await tx.execute(sql, followee_id, follower_id)
    await tx.execute("DELETE FROM feed.list_member WHERE account_id = $1 AND member_id = $2", follower_id, followee_id)
    await insert_relation(tx, follower_id, "unfollowed", followee_id)
    return True


async def insert_request(tx: Tx, follower_id: int, followee_id: int, *, reblogs: bool, notify: bool) -> None:
    """Ask to follow, in both directions' tables."""
    sql = """INSERT INTO feed.follow_request (followee_id, follower_id, reblogs, notify) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING"""
    await tx.execute(sql, followee_id, follower_id, reblogs, notify)
    await insert_relation(tx, follower_id, "requested", followee_id)


async def change_request(
    tx: Tx, follower_id: int, followee_id: int, *, reblogs: bool | None, notify: bool | None
) -> bool:
    """Change what somebody who asked to follow wants to see; None leaves it. False when they haven't asked."""
    sql = """UPDATE feed.follow_request SET reblogs = coalesce($3, reblogs), notify = coalesce($4, notify)
             WHERE followee_id = $2 AND follower_id = $1"""
    return await tx.execute(sql, follower_id, followee_id, reblogs, notify) == 1


async def delete_request(tx: Tx, follower_id: int, followee_id: int) -> Wanted | None:
    """Take away a request to follow, and the notice of it. What was asked for; None when there was no request."""
    sql = """DELETE FROM feed.follow_request WHERE followee_id = $2 AND follower_id = $1
             RETURNING follower_id, reblogs, notify"""
    wanted = await tx.find(Wanted, sql, follower_id, followee_id)
    if wanted is not None:
        await delete_relation(tx, follower_id, "requested", followee_id)
        sql = "DELETE FROM feed.notification WHERE account_id = $1 AND kind = 'follow_request' AND from_id = $2"
        await tx.execute(sql, followee_id, follower_id)
    return wanted


# --- blocks, mutes, notes -------------------------------------------------------------------------------------------


async def insert_relation(
    tx: Tx, account_id: int, kind: Kind, other_id: int, *, notifications: bool = True, seconds: int | None = None
) -> None:
    """Relate an account to another, for ever or for so many seconds. Anew when they are related so already."""
    sql = """INSERT INTO feed.relation (account_id, kind, other_id, notifications, until)
             VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
             ON CONFLICT (account_id, kind, other_id) DO UPDATE
             SET notifications = excluded.notifications, until = excluded.until, created_at = now()"""
    await tx.execute(sql, account_id, kind, other_id, notifications, seconds)


async def delete_relation(tx: Tx, account_id: int, kind: Kind, other_id: int) -> bool:
    sql = "DELETE FROM feed.relation WHERE account_id = $1 AND kind = $2 AND other_id = $3"
    return await tx.execute(sql, account_id, kind, other_id) == 1


async def delete_notices(tx: Tx, account_id: int, from_id: int) -> None:
    """Forget whatever an account was told of another's doings."""
    await tx.execute("DELETE FROM feed.notification WHERE account_id = $1 AND from_id = $2", account_id, from_id)


async def delete_ended_relations(tx: Tx) -> int:
    """Mutes that are over, and unfollows whose last deliveries are long done, of all accounts. How many."""
    sql = """DELETE FROM feed.relation WHERE until < now()
                 OR (kind = 'unfollowed' AND created_at < now() - interval '1 day')"""
    return await tx.execute(sql)


async def set_note(tx: Tx, account_id: int, about_id: int, comment: str) -> None:
    """Keep what somebody notes about an account; "" removes it."""
    if comment:
        sql = """INSERT INTO feed.account_note (account_id, about_id, comment) VALUES ($1, $2, $3)
                 ON CONFLICT (account_id, about_id) DO UPDATE SET comment = excluded.comment"""
        await tx.execute(sql, account_id, about_id, comment)
    else:
        await tx.execute("DELETE FROM feed.account_note WHERE account_id = $1 AND about_id = $2", account_id, about_id)


# --- lists of people ------------------------------------------------------------------------------------------------


async def list_follower_ids(tx: Tx, account_id: int, page: Range) -> list[int]:
    """A page of an account's followers, the newest account first."""
    return await _page(tx, "SELECT follower_id AS id FROM feed.follower WHERE followee_id = $1", page, account_id)


async def list_following_ids(tx: Tx, account_id: int, page: Range) -> list[int]:
    """A page of whom an account follows, the newest account first."""
    return await _page(tx, "SELECT followee_id AS id FROM feed.following WHERE follower_id = $1", page, account_id)


async def list_requester_ids(tx: Tx, account_id: int, page: Range) -> list[int]:
    """A page of who asks to follow an account, the newest account first."""
    sql = "SELECT follower_id AS id FROM feed.follow_request WHERE followee_id = $1"
    return await _page(tx, sql, page, account_id)


async def list_related_ids(tx: Tx, account_id: int, kind: Kind, page: Range) -> list[int]:
    """A page of whom an account blocks or mutes, the newest account first."""
    sql = """SELECT other_id AS id FROM feed.relation
             WHERE account_id = $1 AND kind = $2 AND (until IS NULL OR until > now())"""
    return await _page(tx, sql, page, account_id, kind)


async def _page(tx: Tx, sql: str, page: Range, *args: object) -> list[int]:
    """Ids of a query in the order of the page, the biggest first."""
    ascending = page.min_id is not None
    low, high = max(page.since_id or 0, page.min_id or 0), page.max_id if page.max_id is not None else (1 << 63) - 1
    first = len(args) + 1
    ordered = f"""SELECT array_agg(id) FROM (
                      SELECT id FROM ({sql}) given WHERE id > ${first} AND id < ${first + 1}
                      ORDER BY id {"ASC" if ascending else "DESC"} LIMIT ${first + 2}) page"""  # noqa: S608  # all ours
    found: list[int] | None = await tx.value(ordered, *args, low, high, page.limit)
    return sorted(found or (), reverse=True)


async def count_requests(tx: Tx, account_id: int, most: int = 1000) -> int:
    """Who waits to follow an account, counted no further than `most`."""
    sql = "SELECT count(*) FROM (SELECT FROM feed.follow_request WHERE followee_id = $1 LIMIT $2) counted"
    return int(await tx.value(sql, account_id, most))


class Familiar(msgspec.Struct):
    """Followers of an account whom the reader follows too."""

    id: int
    follower_ids: list[int]


async def list_familiar(tx: Tx, ids: Sequence[int], followee_ids: Sequence[int], limit: int) -> list[Familiar]:
    """For each account its followers among these people, at most `limit` of them."""
    sql = """SELECT o.id, array(SELECT follower_id FROM feed.follower
                                WHERE followee_id = o.id AND follower_id = ANY($2::bigint[]) LIMIT $3) AS follower_ids
             FROM unnest($1::bigint[]) WITH ORDINALITY AS o (id, place) ORDER BY o.place"""
    return await tx.rows(Familiar, sql, list(ids), list(followee_ids), limit)


async def list_followed_by_many(tx: Tx, follower_ids: Sequence[int], each: int, limit: int) -> list[int]:
    """Whom these people follow, those first whom most of them do; of each follower the `each` newest accounts."""
    sql = """SELECT coalesce(array_agg(id ORDER BY fans DESC, id), '{}') FROM (
                 SELECT f.followee_id AS id, count(*) AS fans FROM unnest($1::bigint[]) AS o (id)
                 CROSS JOIN LATERAL (SELECT followee_id FROM feed.following
                                     WHERE follower_id = o.id ORDER BY followee_id DESC LIMIT $2) f
                 GROUP BY f.followee_id ORDER BY fans DESC, id LIMIT $3) best"""
    found: list[int] = await tx.value(sql, list(follower_ids), each, limit)
    return found


# --- counting -------------------------------------------------------------------------------------------------------


async def add_follows(tx: Tx, followers: Mapping[int, int], following: Mapping[int, int], threshold: int) -> list[int]:
    """Add to the counts of followers and of followed accounts, by account. Who became a celebrity by it.

    Rows are locked in the order of their ids, so that those who count at the same time wait and don't deadlock.
    """
    sql = """INSERT INTO feed.account_count AS c (account_id, followers, following, celebrity_since)
             SELECT id, followers, following, CASE WHEN followers >= $4 THEN now() END
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS t (id, followers, following) ORDER BY id
             ON CONFLICT (account_id) DO UPDATE
             SET followers = c.followers + excluded.followers, following = c.following + excluded.following,
                 celebrity_since = coalesce(
                     c.celebrity_since, CASE WHEN c.followers + excluded.followers >= $4 THEN now() END)
             RETURNING account_id AS id, coalesce(celebrity_since = now(), false) AS crossed"""
    ids = sorted({*followers, *following})
    changes = [followers.get(each, 0) for each in ids], [following.get(each, 0) for each in ids]
    return [row.id for row in await tx.rows(_Counted, sql, ids, *changes, threshold) if row.crossed]


class _Counted(msgspec.Struct):
    id: int
    crossed: bool
