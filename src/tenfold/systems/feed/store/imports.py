"""SQL of bulk imports: thousands of rows in one statement, each new row counted once however often it is sent."""

from collections.abc import Sequence

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.feed.rules.search import fold
from tenfold.systems.feed.types import Post


class Named(msgspec.Struct, frozen=True):
    """An account by the form of its name that is unique."""

    name: str
    id: int
    username: str


class NewAccount(msgspec.Struct, frozen=True):
    id: int
    username: str
    display_name: str
    note: str


class Added(msgspec.Struct, frozen=True):
    """What a statement has added of an account's."""

    id: int
    followers: int
    following: int


async def begin(tx: Tx) -> None:
    """Let the statements of this transaction take the time that they need."""
    await tx.execute("SET LOCAL statement_timeout = 0")


async def list_named(tx: Tx, names: Sequence[str]) -> list[Named]:
    """Those of the accounts that exist, by names in lower case."""
    sql = """SELECT u.name, a.id, a.username FROM feed.username u JOIN feed.account a ON a.id = u.account_id
             WHERE u.name = ANY($1::text[])"""
    return await tx.rows(Named, sql, list(names))


async def insert_accounts(tx: Tx, new: Sequence[NewAccount]) -> int:
    """Keep accounts, those whose ids and names are free. How many."""
    sql = """WITH given AS (
                 SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
                               AS t (id, name, username, display_name, note, words)),
             named AS (
                 INSERT INTO feed.username (name, account_id) SELECT name, id FROM given ORDER BY name
                 ON CONFLICT DO NOTHING RETURNING account_id AS id),
             made AS (
                 INSERT INTO feed.account (id, username, display_name, note)
                 SELECT id, username, display_name, note FROM given JOIN named USING (id) ORDER BY id
                 ON CONFLICT DO NOTHING RETURNING id),
             counted AS (
                 INSERT INTO feed.account_count (account_id) SELECT id FROM made ON CONFLICT DO NOTHING)
             INSERT INTO feed.account_words (account_id, words) SELECT id, words FROM given JOIN made USING (id)
             ON CONFLICT DO NOTHING"""
    return await tx.execute(
        sql,
        [each.id for each in new],
        [each.username.lower() for each in new],
        [each.username for each in new],
        [each.display_name for each in new],
        [each.note for each in new],
        [fold(f"{each.username} {each.display_name}") for each in new],
    )


async def insert_follows(tx: Tx, follower_ids: Sequence[int], followee_ids: Sequence[int]) -> list[Added]:
    """Keep follows, the new ones. How many each account has got, in either direction."""
    sql = """WITH new AS (
                 INSERT INTO feed.following (follower_id, followee_id)
                 SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS t (follower_id, followee_id)
                 ORDER BY follower_id, followee_id
                 ON CONFLICT DO NOTHING RETURNING follower_id, followee_id),
             mirrored AS (
                 INSERT INTO feed.follower (followee_id, follower_id)
                 SELECT followee_id, follower_id FROM new ORDER BY followee_id, follower_id ON CONFLICT DO NOTHING)
             SELECT id, sum(followers)::bigint AS followers, sum(following)::bigint AS following FROM (
                 SELECT followee_id AS id, count(*) AS followers, 0 AS following FROM new GROUP BY followee_id
                 UNION ALL SELECT follower_id, 0, count(*) FROM new GROUP BY follower_id) parts
             GROUP BY id"""
    return await tx.rows(Added, sql, list(follower_ids), list(followee_ids))


async def insert_posts(tx: Tx, new: Sequence[Post], words: Sequence[str]) -> dict[int, int]:
    """Keep public posts without pictures that answer none, those whose ids are free, with the words of their search.

    How many of each author.
    """
    sql = """WITH given AS (
                 SELECT id, author_id, text, mentions::jsonb AS mentions, string_to_array(tags, ' ') AS tags,
                        string_to_array(lowered, ' ') AS lowered, words::tsvector AS search, created_at
                 FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                             $8::timestamptz[])
                      AS t (id, author_id, text, mentions, tags, lowered, words, created_at)),
             new AS (
                 INSERT INTO feed.post (id, author_id, text, visibility, conversation_id, mentions, tags, created_at,
                                        search)
                 SELECT id, author_id, text, 'public', id, mentions, tags, created_at, search FROM given ORDER BY id
                 ON CONFLICT DO NOTHING RETURNING id, author_id, created_at),
             uncounted AS (
                 INSERT INTO feed.post_count (post_id) SELECT id FROM new ON CONFLICT DO NOTHING),
             conversation AS (
                 INSERT INTO feed.in_conversation (conversation_id, post_id) SELECT id, id FROM new
                 ON CONFLICT DO NOTHING),
             authored AS (
                 INSERT INTO feed.authored (author_id, post_id, visibility, reply, media, tags)
                 SELECT new.author_id, id, 'public', false, false, lowered FROM new JOIN given USING (id)
                 ORDER BY new.author_id, id ON CONFLICT DO NOTHING),
             tagged AS (
                 INSERT INTO feed.tagged (tag, post_id, author_id, media)
                 SELECT tag, id, new.author_id, false FROM new JOIN given USING (id), unnest(lowered) AS tag
                 ON CONFLICT DO NOTHING),
             changed AS (
                 SELECT author_id AS id, count(*) AS added, max(created_at AT TIME ZONE 'UTC')::date AS last
                 FROM new GROUP BY author_id),
             counted AS (
                 INSERT INTO feed.account_count AS c (account_id, statuses, last_status_at)
                 SELECT id, added, last FROM changed ORDER BY id
                 ON CONFLICT (account_id) DO UPDATE
                 SET statuses = c.statuses + excluded.statuses,
                     last_status_at = greatest(c.last_status_at, excluded.last_status_at))
             SELECT id, added FROM changed"""
    columns = (
        [each.id for each in new],
        [each.author_id for each in new],
        [each.text for each in new],
        [msgspec.json.encode(each.mentions).decode() for each in new],
        [" ".join(each.tags) for each in new],
        [" ".join(each.tags).lower() for each in new],
        list(words),
        [each.created_at for each in new],
    )
    return {row.id: row.added for row in await tx.rows(_Wrote, sql, *columns)}


class _Wrote(msgspec.Struct):
    id: int
    added: int


async def gather_words(tx: Tx) -> None:
    """Let new words wait for the index of the search until there are many: that takes a quarter of the time.

    Searching goes through what waits, so `spread_words` must follow.
    """
    await tx.script("ALTER INDEX feed.post_search SET (fastupdate = on, gin_pending_list_limit = 32768)")


async def spread_words(tx: Tx) -> None:
    """Put what waits into the index, and let nothing wait any more."""
    await tx.script("ALTER INDEX feed.post_search SET (fastupdate = off)")
    await tx.script("ALTER INDEX feed.post_search RESET (gin_pending_list_limit)")
    await tx.execute("SELECT gin_clean_pending_list('feed.post_search')")
