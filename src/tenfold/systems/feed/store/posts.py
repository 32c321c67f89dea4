"""SQL of posts: writing, reading, changing and removing them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.feed.types import Application, Media, Mention, Post


class _Row(msgspec.Struct):
    id: int
    author_id: int
    text: str
    spoiler_text: str
    visibility: Any
    sensitive: bool
    language: str | None
    in_reply_to_id: int | None
    in_reply_to_account_id: int | None
    conversation_id: int
    reblog_of_id: int | None
    mentions: list[Any]
    tags: list[str]
    media: list[Any]
    application: Any
    created_at: datetime
    edited_at: datetime | None
    favourites: int
    reblogs: int
    replies: int

    def post(self) -> Post:
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        values["mentions"] = msgspec.convert(self.mentions, list[Mention])
        values["media"] = msgspec.convert(self.media, list[Media])
        values["application"] = msgspec.convert(self.application, Application | None)
        return Post(**values)


async def list_posts(tx: Tx, ids: Sequence[int]) -> list[Post]:
    """Posts by id, with their counts, in no order."""
    sql = """SELECT p.id, p.author_id, p.text, p.spoiler_text, p.visibility, p.sensitive, p.language, p.in_reply_to_id,
                    p.in_reply_to_account_id, p.conversation_id, p.reblog_of_id, p.mentions, p.tags, p.media,
                    p.application, p.created_at, p.edited_at, greatest(c.favourites, 0) AS favourites,
                    greatest(c.reblogs, 0) AS reblogs, greatest(c.replies, 0) AS replies
             FROM feed.post p LEFT JOIN feed.post_count c ON c.post_id = p.id AND c.post_id = ANY($1::bigint[])
             WHERE p.id = ANY($1::bigint[])"""
    return [row.post() for row in await tx.rows(_Row, sql, list(ids))]


async def insert_post(tx: Tx, post: Post, search: str | None) -> None:
    """Keep a new post or repost wherever it is looked for. `search` is the text of its tsvector."""
    await tx.execute(
        """WITH counts AS (INSERT INTO feed.post_count (post_id) SELECT $1 WHERE $11::bigint IS NULL)
           INSERT INTO feed.post (id, author_id, text, spoiler_text, visibility, sensitive, language, in_reply_to_id,
                                  in_reply_to_account_id, conversation_id, reblog_of_id, mentions, tags, media,
                                  application, created_at, search)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17::text::tsvector)""",
        post.id, post.author_id, post.text, post.spoiler_text, post.visibility, post.sensitive, post.language,
        post.in_reply_to_id, post.in_reply_to_account_id, post.conversation_id, post.reblog_of_id,
        post.mentions, post.tags, post.media, post.application, post.created_at, search,
    )  # fmt: skip
    reply = post.in_reply_to_account_id not in (None, post.author_id)
    lowered = [tag.lower() for tag in post.tags]
    await tx.execute(
        """INSERT INTO feed.authored (author_id, post_id, visibility, reblog_of_id, reply, reply_to_account_id, media,
                                      tags)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        post.author_id, post.id, post.visibility, post.reblog_of_id, reply, post.in_reply_to_account_id,
        bool(post.media), lowered,
    )  # fmt: skip
    if post.reblog_of_id is not None:
        return
    if post.conversation_id != post.id:  # the first post of a conversation is known by its id
        sql = "INSERT INTO feed.in_conversation (conversation_id, post_id, in_reply_to_id) VALUES ($1, $2, $3)"
        await tx.execute(sql, post.conversation_id, post.id, post.in_reply_to_id)
    if lowered and post.visibility == "public":
        await insert_tags(tx, post)


async def insert_tags(tx: Tx, post: Post) -> None:
    """Have a public post found under its tags."""
    sql = """INSERT INTO feed.tagged (tag, post_id, author_id, media)
             SELECT tag, $2, $3, $4 FROM unnest($1::text[]) AS tag
             ON CONFLICT (tag, post_id) DO UPDATE SET media = excluded.media"""
    await tx.execute(sql, sorted({tag.lower() for tag in post.tags}), post.id, post.author_id, bool(post.media))


async def lock_post(tx: Tx, id: int) -> Post | None:
    """A post as it is now, which nobody else changes until the transaction ends."""
    if await tx.value("SELECT id FROM feed.post WHERE id = $1 FOR UPDATE", id) is None:
        return None
    found = await list_posts(tx, [id])
    return found[0] if found else None


async def update_post(tx: Tx, before: Post, after: Post, search: str) -> None:
    """Change what a post says, and keep what it said."""
    await tx.execute(
        """INSERT INTO feed.post_version (post_id, version, text, spoiler_text, sensitive, media, created_at)
           SELECT $1, (SELECT count(*) FROM feed.post_version WHERE post_id = $1), $2, $3, $4, $5, $6""",
        before.id, before.text, before.spoiler_text, before.sensitive, before.media,
        before.edited_at or before.created_at,
    )  # fmt: skip
    await tx.execute(
        """UPDATE feed.post SET text = $2, spoiler_text = $3, sensitive = $4, language = $5, mentions = $6, tags = $7,
                                media = $8, edited_at = $9, search = $10::text::tsvector
           WHERE id = $1""",
        after.id, after.text, after.spoiler_text, after.sensitive, after.language, after.mentions,
        after.tags, after.media, after.edited_at, search,
    )  # fmt: skip
    lowered = sorted({tag.lower() for tag in after.tags})
    sql = "UPDATE feed.authored SET media = $3, tags = $4 WHERE author_id = $1 AND post_id = $2"
    await tx.execute(sql, after.author_id, after.id, bool(after.media), lowered)
    dropped = sorted({tag.lower() for tag in before.tags} - set(lowered))
    if dropped:
        await tx.execute("DELETE FROM feed.tagged WHERE tag = ANY($1::text[]) AND post_id = $2", dropped, after.id)
    if lowered and after.visibility == "public":
        await insert_tags(tx, after)


class Version(msgspec.Struct):
    """What a post said once."""

    text: str
    spoiler_text: str
    sensitive: bool
    media: list[Any]
    created_at: datetime


async def count_versions(tx: Tx, post_id: int) -> int:
    """How often a post was edited."""
    return int(await tx.value("SELECT count(*) FROM feed.post_version WHERE post_id = $1", post_id))


async def list_versions(tx: Tx, post_id: int) -> list[Version]:
    """What a post said before, the first version first."""
    sql = """SELECT text, spoiler_text, sensitive, media, created_at FROM feed.post_version
             WHERE post_id = $1 ORDER BY version"""
    return await tx.rows(Version, sql, post_id)


async def delete_post(tx: Tx, post: Post) -> None:
    """Remove a post or a repost from wherever it is looked for.

    What has been answered keeps its place in the conversation, so that the answers stay together.
    """
    await tx.execute("DELETE FROM feed.authored WHERE author_id = $1 AND post_id = $2", post.author_id, post.id)
    await tx.execute("DELETE FROM feed.post WHERE id = $1", post.id)
    if post.reblog_of_id is not None:
        return
    if not post.replies:
        sql = "DELETE FROM feed.in_conversation WHERE conversation_id = $1 AND post_id = $2"
        await tx.execute(sql, post.conversation_id, post.id)
    await tx.execute("DELETE FROM feed.post_count WHERE post_id = $1", post.id)
    await tx.execute("DELETE FROM feed.post_version WHERE post_id = $1", post.id)
    if post.tags:
        tags = sorted({tag.lower() for tag in post.tags})
        await tx.execute("DELETE FROM feed.tagged WHERE tag = ANY($1::text[]) AND post_id = $2", tags, post.id)


class Gone(msgspec.Struct):
    """A repost that is removed."""

    id: int
    author_id: int


async def delete_reposts(tx: Tx, ids: Sequence[int], author_ids: Sequence[int]) -> list[Gone]:
    """Remove reposts of a post that is gone, with their authors in the same order. Those that were there."""
    sql = """DELETE FROM feed.authored a USING unnest($1::bigint[], $2::bigint[]) AS d (post_id, author_id)
             WHERE a.author_id = d.author_id AND a.author_id = ANY($2::bigint[]) AND a.post_id = d.post_id"""
    await tx.execute(sql, list(ids), list(author_ids))
    sql = "DELETE FROM feed.post WHERE id = ANY($1::bigint[]) RETURNING id, author_id"
    return await tx.rows(Gone, sql, list(ids))


async def list_authored_ids(tx: Tx, author_id: int, limit: int) -> list[int]:
    """What an author wrote last that homes may show, oldest first."""
    sql = """SELECT array_agg(post_id) FROM (
                 SELECT post_id FROM feed.authored WHERE author_id = $1 AND visibility <> 'direct'
                 ORDER BY post_id DESC LIMIT $2) newest"""
    found: list[int] | None = await tx.value(sql, author_id, limit)
    return sorted(found or ())


async def list_ancestor_ids(tx: Tx, conversation_id: int, post_id: int, limit: int) -> list[int]:
    """What a post answers, and what that answers, the first one first."""
    sql = """WITH RECURSIVE above AS (
                 SELECT in_reply_to_id AS id, 1 AS step FROM feed.in_conversation
                 WHERE conversation_id = $1 AND post_id = $2
                 UNION ALL
                 SELECT c.in_reply_to_id, step + 1 FROM above
                 JOIN feed.in_conversation c ON c.conversation_id = $1 AND c.post_id = above.id
                 WHERE step < $3)
             SELECT coalesce(array_agg(id ORDER BY step DESC), '{}') FROM above WHERE id IS NOT NULL"""
    found: list[int] = await tx.value(sql, conversation_id, post_id, limit)
    return found


class Placed(msgspec.Struct):
    """A post of a conversation, and what it answers."""

    post_id: int
    in_reply_to_id: int | None


async def list_placed(tx: Tx, conversation_id: int, after_id: int, limit: int) -> dict[int, int | None]:
    """What the posts of a conversation with ids above `after_id` answer, the oldest ones of them."""
    sql = """SELECT post_id, in_reply_to_id FROM feed.in_conversation
             WHERE conversation_id = $1 AND post_id > $2 ORDER BY post_id LIMIT $3"""
    rows = await tx.rows(Placed, sql, conversation_id, after_id, limit)
    return {row.post_id: row.in_reply_to_id for row in rows}


async def insert_idempotency(tx: Tx, account_id: int, key: str, post_id: int) -> int | None:
    """Note the key that a client gave to a post. The post that has it already, if there is one."""
    sql = """INSERT INTO feed.idempotency (account_id, key, post_id) VALUES ($1, $2, $3)
             ON CONFLICT (account_id, key) DO UPDATE SET key = excluded.key RETURNING post_id"""
    found: int = await tx.value(sql, account_id, key, post_id)
    return None if found == post_id else found


async def delete_old_idempotency(tx: Tx) -> int:
    """Forget keys that no client will send again. How many."""
    return await tx.execute("DELETE FROM feed.idempotency WHERE created_at < now() - interval '1 day'")


async def set_pin(tx: Tx, author_id: int, post_id: int, *, pinned: bool) -> None:
    """Pin a post, if it isn't yet, or take its pin away."""
    sql = """UPDATE feed.authored SET pinned_at = CASE WHEN $3 THEN coalesce(pinned_at, now()) END
             WHERE author_id = $1 AND post_id = $2"""
    await tx.execute(sql, author_id, post_id, pinned)


async def list_pinned_ids(tx: Tx, author_id: int) -> list[int]:
    """The pinned posts of an author, who can't pin others until the transaction ends."""
    await tx.value("SELECT id FROM feed.account WHERE id = $1 FOR UPDATE", author_id)
    sql = """SELECT coalesce(array_agg(post_id), '{}') FROM feed.authored
             WHERE author_id = $1 AND pinned_at IS NOT NULL"""
    found: list[int] = await tx.value(sql, author_id)
    return found


async def add_counts(tx: Tx, changes: Sequence[tuple[int, int, int, int]]) -> None:
    """Add (post, favourites, reblogs, replies) to the counts of posts that are there.

    A count may fall below zero until the event comes that it has overtaken; readers see zero. Rows are locked in the
    order of their ids, so that those who count at the same time wait and don't deadlock.
    """
    sql = """UPDATE feed.post_count c SET favourites = c.favourites + d.favourites,
                    reblogs = c.reblogs + d.reblogs, replies = c.replies + d.replies
             FROM (SELECT t.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                                   AS t (post_id, favourites, reblogs, replies)
                   JOIN feed.post_count l ON l.post_id = t.post_id AND l.post_id = ANY($1::bigint[])
                   ORDER BY l.post_id FOR UPDATE OF l) d
             WHERE c.post_id = d.post_id AND c.post_id = ANY($1::bigint[])"""
    await tx.execute(sql, *map(list, zip(*changes, strict=True)))


async def add_statuses(tx: Tx, changes: Sequence[tuple[int, int, date | None]]) -> None:
    """Add (author, posts, day of the last one) to the counts of accounts, locked in the order of their ids."""
    sql = """INSERT INTO feed.account_count AS c (account_id, statuses, last_status_at)
             SELECT id, posts, last FROM unnest($1::bigint[], $2::bigint[], $3::date[]) AS t (id, posts, last)
             ORDER BY id
             ON CONFLICT (account_id) DO UPDATE
             SET statuses = c.statuses + excluded.statuses,
                 last_status_at = greatest(c.last_status_at, excluded.last_status_at)"""
    await tx.execute(sql, *map(list, zip(*changes, strict=True)))
