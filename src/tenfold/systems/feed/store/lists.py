"""SQL of lists: titles, and whose posts they show."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.feed.types import Range

type RepliesPolicy = Literal["followed", "list", "none"]


class UserList(msgspec.Struct, frozen=True, kw_only=True):
    """A list: https://docs.joinmastodon.org/entities/List/."""

    id: str
    title: str
    replies_policy: RepliesPolicy
    exclusive: bool


_COLUMNS = "id::text AS id, title, replies_policy, exclusive"


async def list_lists(tx: Tx, account_id: int) -> list[UserList]:
    """All lists of an account by title."""
    sql = f"SELECT {_COLUMNS} FROM feed.list WHERE account_id = $1 ORDER BY title, feed.list.id"  # noqa: S608
    return await tx.rows(UserList, sql, account_id)


async def list_lists_with(tx: Tx, account_id: int, member_id: int) -> list[UserList]:
    """Those lists of an account that somebody is on."""
    sql = f"""SELECT {_COLUMNS} FROM feed.list l WHERE account_id = $1 AND EXISTS (
                  SELECT FROM feed.list_member m WHERE m.account_id = $1 AND m.list_id = l.id AND m.member_id = $2)
              ORDER BY title, l.id"""  # noqa: S608
    return await tx.rows(UserList, sql, account_id, member_id)


async def find_list(tx: Tx, account_id: int, list_id: int) -> UserList | None:
    sql = f"SELECT {_COLUMNS} FROM feed.list WHERE account_id = $1 AND feed.list.id = $2"  # noqa: S608
    return await tx.find(UserList, sql, account_id, list_id)


async def find_replies_policy(tx: Tx, account_id: int, list_id: int) -> RepliesPolicy | None:
    """Which replies a list shows; None when there is no such list of this account."""
    found: RepliesPolicy | None = await tx.value(
        "SELECT replies_policy FROM feed.list WHERE account_id = $1 AND id = $2", account_id, list_id
    )
    return found


async def insert_list(
    tx: Tx, account_id: int, id: int, title: str, replies_policy: RepliesPolicy, *, exclusive: bool, most: int
) -> bool:
    """Keep a new list. False when the account has `most` already."""
    sql = """INSERT INTO feed.list (account_id, id, title, replies_policy, exclusive)
             SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM feed.list WHERE account_id = $1) < $6"""
    return await tx.execute(sql, account_id, id, title, replies_policy, exclusive, most) == 1


async def change_list(
    tx: Tx, account_id: int, id: int, title: str | None, replies_policy: RepliesPolicy | None, exclusive: bool | None
) -> bool:
    """Change what isn't None. False when there is no such list."""
    sql = """UPDATE feed.list SET title = coalesce($3, title), replies_policy = coalesce($4, replies_policy),
                                  exclusive = coalesce($5, exclusive)
             WHERE account_id = $1 AND id = $2"""
    return await tx.execute(sql, account_id, id, title, replies_policy, exclusive) == 1


async def delete_list(tx: Tx, account_id: int, id: int) -> bool:
    """Remove a list and then its members: who adds some meanwhile has locked the list."""
    gone = await tx.execute("DELETE FROM feed.list WHERE account_id = $1 AND id = $2", account_id, id) == 1
    await tx.execute("DELETE FROM feed.list_member WHERE account_id = $1 AND list_id = $2", account_id, id)
    return gone


async def lock_list(tx: Tx, account_id: int, id: int) -> bool:
    """Keep a list from being deleted meanwhile. False when there is none."""
    sql = "SELECT true FROM feed.list WHERE account_id = $1 AND id = $2 FOR SHARE"
    return bool(await tx.value(sql, account_id, id))


async def add_members(tx: Tx, account_id: int, list_id: int, member_ids: Sequence[int]) -> None:
    """Put accounts on a list, those that aren't yet."""
    sql = """INSERT INTO feed.list_member (account_id, list_id, member_id)
             SELECT $1, $2, unnest($3::bigint[]) ON CONFLICT DO NOTHING"""
    await tx.execute(sql, account_id, list_id, list(member_ids))


async def delete_members(tx: Tx, account_id: int, list_id: int, member_ids: Sequence[int]) -> None:
    sql = "DELETE FROM feed.list_member WHERE account_id = $1 AND list_id = $2 AND member_id = ANY($3::bigint[])"
    await tx.execute(sql, account_id, list_id, list(member_ids))


async def list_member_ids(tx: Tx, account_id: int, list_id: int) -> list[int]:
    """All whose posts a list shows."""
    sql = "SELECT coalesce(array_agg(member_id), '{}') FROM feed.list_member WHERE account_id = $1 AND list_id = $2"
    found: list[int] = await tx.value(sql, account_id, list_id)
    return found


async def list_member_page(tx: Tx, account_id: int, list_id: int, page: Range) -> list[int]:
    """A page of those, the newest account first."""
    ascending = page.min_id is not None
    low, high = max(page.since_id or 0, page.min_id or 0), page.max_id if page.max_id is not None else (1 << 63) - 1
    sql = f"""SELECT array_agg(member_id) FROM (
                  SELECT member_id FROM feed.list_member
                  WHERE account_id = $1 AND list_id = $2 AND member_id > $3 AND member_id < $4
                  ORDER BY member_id {"ASC" if ascending else "DESC"} LIMIT $5) page"""  # noqa: S608  # all ours
    found: list[int] | None = await tx.value(sql, account_id, list_id, low, high, page.limit)
    return sorted(found or (), reverse=True)
