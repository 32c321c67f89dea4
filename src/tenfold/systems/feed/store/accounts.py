"""SQL of accounts: who they are, what they are called, what they count."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.feed.rules.search import fold
from tenfold.systems.feed.types import Account, Field, Range, Visibility


class _Row(msgspec.Struct):
    id: int
    username: str
    display_name: str
    note: str
    avatar: str
    header: str
    fields: list[dict[str, str]]
    locked: bool
    bot: bool
    discoverable: bool
    default_visibility: Any
    default_sensitive: bool
    default_language: str | None
    created_at: datetime
    followers: int
    following: int
    statuses: int
    last_status_at: date | None
    celebrity: bool

    def account(self) -> Account:
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return Account(**(values | {"fields": msgspec.convert(self.fields, list[Field])}))


async def list_accounts(tx: Tx, ids: Sequence[int]) -> list[Account]:
    """Accounts by id, with their counts, in no order."""
    sql = """SELECT a.id, a.username, a.display_name, a.note, a.avatar, a.header, a.fields, a.locked, a.bot,
                    a.discoverable, a.default_visibility, a.default_sensitive, a.default_language, a.created_at,
                    greatest(c.followers, 0) AS followers, greatest(c.following, 0) AS following,
                    greatest(c.statuses, 0) AS statuses, c.last_status_at,
                    c.celebrity_since IS NOT NULL AS celebrity
             FROM feed.account a LEFT JOIN feed.account_count c ON c.account_id = a.id
             WHERE a.id = ANY($1::bigint[])"""
    return [row.account() for row in await tx.rows(_Row, sql, list(ids))]


async def find_account_id(tx: Tx, username: str) -> int | None:
    """The account of a username, in whatever case it is written."""
    found: int | None = await tx.value("SELECT account_id FROM feed.username WHERE name = $1", username.lower())
    return found


async def insert_account(tx: Tx, id: int, username: str, display_name: str) -> bool:
    """Keep a new account. False when it is there already, or its name is another's."""
    taken = await tx.execute(
        "INSERT INTO feed.username (name, account_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", username.lower(), id
    )
    if not taken:
        return False
    sql = "INSERT INTO feed.account (id, username, display_name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
    await tx.execute(sql, id, username, display_name)
    await tx.execute("INSERT INTO feed.account_count (account_id) VALUES ($1) ON CONFLICT DO NOTHING", id)
    sql = "INSERT INTO feed.account_words (account_id, words) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    await tx.execute(sql, id, _words(username, display_name))
    return True


def _words(username: str, display_name: str) -> str:
    """What an account is searched by."""
    return fold(f"{username} {display_name}")


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What of a profile changes; None stays. An empty language, avatar or header is none."""

    display_name: str | None = None
    note: str | None = None
    avatar: str | None = None
    header: str | None = None
    fields: list[Field] | None = None
    locked: bool | None = None
    bot: bool | None = None
    discoverable: bool | None = None
    default_visibility: Visibility | None = None
    default_sensitive: bool | None = None
    default_language: str | None = None


class Before(msgspec.Struct, frozen=True):
    """What a profile was until a change."""

    username: str
    avatar: str
    header: str
    locked: bool


async def change_account(tx: Tx, id: int, changes: Changes) -> Before:
    """Change a profile, and what it is searched by. What it was. Raises RowMissing."""
    sql = """WITH before AS (SELECT username, avatar, header, locked FROM feed.account WHERE id = $1 FOR UPDATE)
             UPDATE feed.account SET
                 display_name = coalesce($2, display_name), note = coalesce($3, note),
                 avatar = coalesce($4, account.avatar), header = coalesce($5, account.header),
                 fields = coalesce($6::jsonb, fields), locked = coalesce($7, account.locked), bot = coalesce($8, bot),
                 discoverable = coalesce($9, discoverable),
                 default_visibility = coalesce($10, default_visibility),
                 default_sensitive = coalesce($11, default_sensitive),
                 default_language = nullif(coalesce($12, default_language), '')
             FROM before WHERE id = $1
             RETURNING before.username, before.avatar, before.header, before.locked"""
    before = await tx.one(Before, sql, id, *msgspec.structs.astuple(changes))
    if changes.display_name is not None:
        sql = """INSERT INTO feed.account_words (account_id, words) VALUES ($1, $2)
                 ON CONFLICT (account_id) DO UPDATE SET words = excluded.words"""
        await tx.execute(sql, id, _words(before.username, changes.display_name))
    return before


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Which posts of an author a profile shows."""

    visibilities: list[Visibility]
    only_media: bool = False
    replies: bool = True
    reposts: bool = True
    pinned: bool = False
    #: In lower case; None is all.
    tag: str | None = None


async def list_profile_ids(tx: Tx, author_id: int, profile: Profile, page: Range) -> list[int]:
    """A page of an author's posts, newest first; what is pinned in the order of pinning, last first."""
    ascending = page.min_id is not None
    low, high = max(page.since_id or 0, page.min_id or 0), page.max_id if page.max_id is not None else (1 << 63) - 1
    order = "pinned_at DESC" if profile.pinned else f"post_id {'ASC' if ascending else 'DESC'}"
    sql = f"""SELECT array_agg(post_id) FROM (
                  SELECT post_id FROM feed.authored
                  WHERE author_id = $1 AND post_id > $2 AND post_id < $3 AND visibility = ANY($4::text[])
                    AND (NOT $5 OR media) AND ($6 OR NOT reply) AND ($7 OR reblog_of_id IS NULL)
                    AND (NOT $8 OR pinned_at IS NOT NULL) AND ($9::text IS NULL OR tags @> ARRAY[$9::text])
                  ORDER BY {order} LIMIT $10) page"""  # noqa: S608  # all ours
    found: list[int] | None = await tx.value(
        sql,
        author_id,
        low,
        high,
        profile.visibilities,
        profile.only_media,
        profile.replies,
        profile.reposts,
        profile.pinned,
        profile.tag,
        page.limit,
    )
    return (found or [])[::-1] if ascending and not profile.pinned else found or []


async def list_newest_ids(tx: Tx, offset: int, limit: int) -> list[int]:
    """Accounts that want to be found, the newest first."""
    sql = """SELECT coalesce(array_agg(id), '{}') FROM (
                 SELECT id FROM feed.account WHERE discoverable ORDER BY id DESC OFFSET $1 LIMIT $2) page"""
    found: list[int] = await tx.value(sql, offset, limit)
    return found


async def list_active_ids(tx: Tx, among: int, offset: int, limit: int) -> list[int]:
    """Who wrote the newest public posts, the last `among` of them; whoever wrote last first."""
    sql = """SELECT coalesce(array_agg(author_id ORDER BY last DESC), '{}') FROM (
                 SELECT author_id, max(id) AS last FROM (
                     SELECT id, author_id FROM feed.post WHERE visibility = 'public' AND reblog_of_id IS NULL
                     ORDER BY id DESC LIMIT $1) newest
                 GROUP BY author_id ORDER BY last DESC OFFSET $2 LIMIT $3) page"""
    found: list[int] = await tx.value(sql, among, offset, limit)
    return found


async def list_celebrities(tx: Tx) -> list[int]:
    """Who has ever crossed the threshold."""
    sql = "SELECT coalesce(array_agg(account_id), '{}') FROM feed.account_count WHERE celebrity_since IS NOT NULL"
    found: list[int] = await tx.value(sql)
    return found
