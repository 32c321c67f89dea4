"""SQL of search: posts by words, people by parts of their names, tags by how they begin."""

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.feed.rules.search import Match, Names, Person, Question, Sample


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Which posts a reader may find: public ones, their own, those that mention them, and what the followed show."""

    reader_id: int | None
    #: Authors that the reader doesn't see.
    hidden: Sequence[int]


# $1 is the tsquery, $2 and $3 the ids between which matches lie, $4 the reader, $5 hidden authors, $6 what is needed.
_SEEN = """p.search IS NOT NULL AND p.author_id <> ALL($5::bigint[])
           AND (p.visibility = 'public' OR ($4::bigint IS NOT NULL AND (
                p.author_id = $4 OR p.mentions @> jsonb_build_array(jsonb_build_object('id', $4::bigint))
                OR (p.visibility <> 'direct' AND EXISTS (
                    SELECT FROM feed.following f WHERE f.follower_id = $4 AND f.followee_id = p.author_id)))))"""
# Read once by being a query of its own, not for each row.
_QUERY, _NEEDED = "(SELECT $1::text::tsquery)", "(SELECT $6::text::tsquery)"
# Phrases are slow to try, and few posts have all their words.
_FITS = f"($6 = '' OR p.search @@ {_NEEDED}) AND ($1 = '' OR p.search @@ {_QUERY})"
#: Longer posts have room for more words, so it is divided by the logarithm of their length.
_RANK = f"CASE WHEN $1 = '' THEN 0 ELSE ts_rank(search, {_QUERY}, 1) END AS rank"


class Tried(Sample, frozen=True, kw_only=True):
    """What trying posts one by one has shown, and those that match, newest first."""

    matches: list[Match]


class _Tried(msgspec.Struct):
    seen: int
    needed: int
    rarest: int | None
    lowest: int | None
    total: int
    ids: list[int]
    ranks: list[float]


async def try_newest(tx: Tx, question: Question, scope: Scope, *, depth: int, most: int) -> Tried:
    """Try the newest posts, so many: their matches, and how frequent among them is what is needed."""
    sql = f"""WITH newest AS MATERIALIZED (
                  SELECT id, author_id, visibility, mentions, search FROM feed.post
                  WHERE id > $2 AND id < $3 ORDER BY id DESC LIMIT $8),
              matches AS MATERIALIZED (
                  SELECT id, {_RANK} FROM (
                      SELECT id, search FROM newest p WHERE {_FITS} AND {_SEEN} ORDER BY id DESC LIMIT $9) fit),
              part AS MATERIALIZED (SELECT unnest($7::text[])::tsquery AS query)
              SELECT (SELECT count(*) FROM newest) AS seen, (SELECT min(id) FROM newest) AS lowest,
                     (SELECT count(*) FROM newest WHERE $6 <> '' AND search @@ {_NEEDED}) AS needed,
                     (SELECT min(have) FROM (
                          SELECT (SELECT count(*) FROM newest WHERE search @@ part.query) AS have FROM part) each_part
                     ) AS rarest,
                     (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'feed.post'::regclass) AS total,
                     coalesce(array_agg(id ORDER BY id DESC), '{{}}') AS ids,
                     coalesce(array_agg(rank ORDER BY id DESC), '{{}}') AS ranks
              FROM matches"""  # noqa: S608  # all ours
    found = await tx.one(_Tried, sql, *_args(question, question.below, scope), question.parts, depth, most)
    return Tried(
        seen=found.seen,
        needed=found.needed,
        rarest=found.rarest,
        fits=len(found.ids),
        lowest=question.below if found.lowest is None else found.lowest,
        total=found.total,
        matches=list(map(Match, found.ids, found.ranks)),
    )


async def list_newest(tx: Tx, question: Question, scope: Scope, *, below: int, depth: int, most: int) -> list[Match]:
    """Matches below an id, found by trying `depth` posts one by one until there are enough. Newest first."""
    sql = f"""SELECT id, {_RANK} FROM (
                  SELECT id, search FROM (
                      SELECT id, author_id, visibility, mentions, search FROM feed.post
                      WHERE id > $2 AND id < $3 ORDER BY id DESC LIMIT $7) p
                  WHERE {_FITS} AND {_SEEN} ORDER BY id DESC LIMIT $8) fit
              ORDER BY id DESC"""  # noqa: S608  # all ours
    return await tx.rows(Match, sql, *_args(question, below, scope), depth, most)


async def list_matches(tx: Tx, question: Question, scope: Scope, *, most: int) -> list[Match]:
    """The newest matches, of all that the index finds. Newest first."""
    # `id + 0` keeps the planner from walking the primary key, be it in the hope of soon meeting enough.
    sql = f"""SELECT id, {_RANK} FROM (
                  SELECT id, search FROM feed.post p
                  WHERE p.search @@ {_NEEDED} AND id + 0 > $2 AND id + 0 < $3 AND {_FITS} AND {_SEEN}
                  ORDER BY id + 0 DESC LIMIT $7) fit
              ORDER BY id DESC"""  # noqa: S608  # all ours
    return await tx.rows(Match, sql, *_args(question, question.below, scope), most)


def _args(question: Question, below: int, scope: Scope) -> tuple[str, int, int, int | None, list[int], str]:
    return question.query, question.above, below, scope.reader_id, list(scope.hidden), question.needed


# --- people ---------------------------------------------------------------------------------------------------------


async def list_people(tx: Tx, names: Names, reader_id: int | None, *, followed_only: bool, most: int) -> list[Person]:
    """Accounts whose names have what is asked, in no order: of those one follows, by username, and by any part.

    At most so many of each.
    """
    sql = """WITH followed AS MATERIALIZED (
                 SELECT f.followee_id AS id
                 FROM feed.following f CROSS JOIN LATERAL (
                     SELECT words FROM feed.account_words w WHERE w.account_id = f.followee_id OFFSET 0) w
                 WHERE f.follower_id = $3 AND w.words LIKE $1 AND w.words LIKE ALL($2::text[]) LIMIT $5),
             named AS MATERIALIZED (
                 SELECT account_id AS id FROM feed.username
                 WHERE NOT $4 AND name >= $6 AND name < $7 AND name ^@ $6 ORDER BY name LIMIT $5),
             parts AS MATERIALIZED (
                 SELECT account_id AS id FROM feed.account_words
                 WHERE NOT $4 AND $8 AND words LIKE $1 AND words LIKE ALL($2::text[]) LIMIT $5)
             SELECT w.account_id AS id, w.words, coalesce(c.followers, 0) AS followers, EXISTS (
                        SELECT FROM feed.following f
                        WHERE f.follower_id = $3 AND f.followee_id = w.account_id) AS followed
             FROM (SELECT id FROM followed UNION SELECT id FROM named UNION SELECT id FROM parts) found
             JOIN feed.account_words w ON w.account_id = found.id
             LEFT JOIN feed.account_count c ON c.account_id = found.id"""
    first, *others = names.patterns
    args = (first, others, reader_id, followed_only, most, names.prefix, names.past, names.anywhere)
    return await tx.rows(Person, sql, *args)


async def list_account_ids(tx: Tx, usernames: Collection[str]) -> dict[str, int]:
    """Accounts by username, which is in lower case."""
    sql = "SELECT name, account_id AS id FROM feed.username WHERE name = ANY($1::text[])"
    return {row.name: row.id for row in await tx.rows(_Name, sql, list(usernames))}


class _Name(msgspec.Struct):
    name: str
    id: int


# --- tags -----------------------------------------------------------------------------------------------------------


async def list_tags(tx: Tx, prefix: str, past: str, since: datetime, *, limit: int, offset: int) -> list[str]:
    """Tags from `prefix` up to `past`: the tag itself, those that most people have used of late, then by the alphabet.

    Each step from tag to tag is one look into the index, so it doesn't matter how often a tag was used.
    """
    sql = """WITH RECURSIVE used AS MATERIALIZED (
                 SELECT tag, sum(people) AS people FROM (
                     SELECT tag, people FROM feed.tag_hour
                     WHERE tag >= $1 AND tag < $2 AND tag ^@ $1 AND hour >= $3 ORDER BY tag LIMIT 5000) begun
                 GROUP BY tag),
             every AS (
                 (SELECT tag FROM feed.tagged WHERE tag >= $1 AND tag < $2 ORDER BY tag LIMIT 1)
                 UNION ALL
                 SELECT (SELECT t.tag FROM feed.tagged t WHERE t.tag > every.tag AND t.tag < $2 ORDER BY t.tag LIMIT 1)
                 FROM every WHERE tag IS NOT NULL),
             others AS MATERIALIZED (SELECT tag FROM every WHERE tag ^@ $1 LIMIT $4::bigint + $5::bigint)
             SELECT coalesce(array_agg(tag), '{}') FROM (
                 SELECT tag FROM (SELECT tag, people FROM used UNION ALL
                                  SELECT tag, 0 FROM others WHERE tag NOT IN (SELECT tag FROM used)) found
                 ORDER BY tag = $1 DESC, people DESC, tag LIMIT $4 OFFSET $5) page"""
    found: list[str] = await tx.value(sql, prefix, past, since, limit, offset)
    return found
