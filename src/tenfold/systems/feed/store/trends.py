"""SQL of trends: how often tags are used and by how many, and which public posts are liked."""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from tenfold.platform.db import Tx


async def add_uses(tx: Tx, uses: Sequence[tuple[str, datetime, int]]) -> None:
    """Count uses of tags: (tag, hour, account). Who uses a tag again on the same day (UTC) is no further person."""
    # In the order of their keys, so that two batches can't wait for each other.
    sql = """WITH used AS (
                 SELECT tag, hour, (hour AT TIME ZONE 'UTC')::date AS day, account_id
                 FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS u (tag, hour, account_id)),
             came AS (
                 INSERT INTO feed.tag_person (tag, day, account_id)
                 SELECT DISTINCT tag, day, account_id FROM used ORDER BY tag, day, account_id
                 ON CONFLICT DO NOTHING RETURNING tag, day, account_id),
             first AS (
                 SELECT tag, min(hour) AS hour FROM used JOIN came USING (tag, day, account_id)
                 GROUP BY tag, day, account_id),
             counted AS (
                 SELECT tag, hour, sum(uses) AS uses, sum(people) AS people FROM (
                     SELECT tag, hour, count(*) AS uses, 0 AS people FROM used GROUP BY tag, hour
                     UNION ALL SELECT tag, hour, 0, count(*) FROM first GROUP BY tag, hour) parts
                 GROUP BY tag, hour ORDER BY tag, hour)
             INSERT INTO feed.tag_hour AS kept (tag, hour, uses, people) SELECT tag, hour, uses, people FROM counted
             ON CONFLICT (tag, hour) DO UPDATE
             SET uses = kept.uses + excluded.uses, people = kept.people + excluded.people"""
    await tx.execute(sql, *map(list, zip(*uses, strict=True)))


class Used(msgspec.Struct):
    """A tag, its people by the hour of late, and those of the days before."""

    tag: str
    hours: list[datetime]
    people: list[int]
    before: int


async def list_used(tx: Tx, recent: datetime, before: datetime, *, fewest: int, most: int) -> list[Used]:
    """The tags that most people have used since `recent`, and at least so many, with their use since `before`."""
    sql = """WITH lively AS MATERIALIZED (
                 SELECT tag, array_agg(hour ORDER BY hour) AS hours, array_agg(people ORDER BY hour) AS people,
                        sum(people) AS total
                 FROM feed.tag_hour WHERE hour >= $1 GROUP BY tag HAVING sum(people) >= $3
                 ORDER BY total DESC LIMIT $4)
             SELECT tag, hours, people, (
                        SELECT coalesce(sum(h.people), 0)::bigint FROM feed.tag_hour h
                        WHERE h.tag = lively.tag AND h.hour >= $2 AND h.hour < $1) AS before
             FROM lively"""
    return await tx.rows(Used, sql, recent, before, fewest, most)


class Day(msgspec.Struct):
    """The use of a tag on one day (UTC)."""

    tag: str
    day: date
    uses: int
    people: int


async def list_days(tx: Tx, tags: Sequence[str], since: datetime) -> list[Day]:
    """The use of tags by day, days without any left out."""
    sql = """SELECT tag, (hour AT TIME ZONE 'UTC')::date AS day, sum(uses)::bigint AS uses,
                    sum(people)::bigint AS people
             FROM feed.tag_hour WHERE tag = ANY($1::text[]) AND hour >= $2 GROUP BY 1, 2"""
    return await tx.rows(Day, sql, list(tags), since)


class Liked(msgspec.Struct):
    id: int
    author_id: int
    favourites: int
    reblogs: int
    replies: int


async def list_liked(tx: Tx, above: int, *, depth: int, most: int) -> list[Liked]:
    """Of the newest `depth` public posts above an id those that somebody likes or has passed on, the most liked."""
    sql = """SELECT p.id, p.author_id, c.favourites, c.reblogs, c.replies FROM (
                 SELECT id, author_id FROM feed.post
                 WHERE visibility = 'public' AND reblog_of_id IS NULL AND in_reply_to_id IS NULL AND NOT sensitive
                   AND id > $1 ORDER BY id DESC LIMIT $2) p
             JOIN feed.post_count c ON c.post_id = p.id
             WHERE c.favourites > 0 OR c.reblogs > 0
             ORDER BY c.favourites + 2 * c.reblogs + c.replies DESC, p.id DESC LIMIT $3"""
    return await tx.rows(Liked, sql, above, depth, most)


async def delete_hours(tx: Tx, before: datetime, most: int) -> int:
    """Remove some uses of hours long ago. How many rows."""
    sql = """DELETE FROM feed.tag_hour WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM feed.tag_hour WHERE hour < $1 LIMIT $2))"""
    return await tx.execute(sql, before, most)


async def delete_people(tx: Tx, before: date, most: int) -> int:
    """Remove some people of days long ago. How many rows."""
    sql = """DELETE FROM feed.tag_person WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM feed.tag_person WHERE day < $1 LIMIT $2))"""
    return await tx.execute(sql, before, most)
