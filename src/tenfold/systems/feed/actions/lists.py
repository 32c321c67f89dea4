"""Lists: timelines of chosen people, among those whom one follows."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from tenfold.platform.errors import Invalid
from tenfold.systems.feed.actions.context import Feed, find_account
from tenfold.systems.feed.errors import AccountNotFound, ListNotFound
from tenfold.systems.feed.store import lists, relations
from tenfold.systems.feed.store.lists import RepliesPolicy, UserList
from tenfold.systems.feed.types import Account, Range

type Title = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]

#: Members that one call adds or removes.
MOST_MEMBERS = 500


class MakeList(msgspec.Struct, frozen=True, kw_only=True):
    title: Title
    replies_policy: RepliesPolicy = "list"
    exclusive: bool = False


class ChangeList(msgspec.Struct, frozen=True, kw_only=True):
    """What of a list changes; None stays."""

    title: Title | None = None
    replies_policy: RepliesPolicy | None = None
    exclusive: bool | None = None


async def list_lists(feed: Feed, account: Account) -> list[UserList]:
    """One's lists by title."""
    async with feed.db.read(fresh=True) as tx:
        return await lists.list_lists(tx, account.id)


async def list_lists_with(feed: Feed, account: Account, member_id: int) -> list[UserList]:
    """Those of one's lists that somebody is on. Raises AccountNotFound."""
    await find_account(feed, member_id)
    async with feed.db.read(fresh=True) as tx:
        return await lists.list_lists_with(tx, account.id, member_id)


async def read(feed: Feed, account: Account, list_id: int) -> UserList:
    """One of one's lists. Raises ListNotFound."""
    async with feed.db.read(fresh=True) as tx:
        found = await lists.find_list(tx, account.id, list_id)
    if found is None:
        raise ListNotFound
    return found


async def make(feed: Feed, account: Account, wish: MakeList) -> UserList:
    """A new list. Raises Invalid when one has too many."""
    list_id, most = feed.ids.next(), feed.settings.lists
    async with feed.db.transaction() as tx:
        kept = await lists.insert_list(
            tx, account.id, list_id, wish.title, wish.replies_policy, exclusive=wish.exclusive, most=most
        )
    if not kept:
        raise Invalid(fields={"title": f"one can keep {most} lists"})
    return UserList(id=str(list_id), title=wish.title, replies_policy=wish.replies_policy, exclusive=wish.exclusive)


async def change(feed: Feed, account: Account, list_id: int, wish: ChangeList) -> UserList:
    """Change a list. Raises ListNotFound."""
    async with feed.db.transaction() as tx:
        if not await lists.change_list(tx, account.id, list_id, wish.title, wish.replies_policy, wish.exclusive):
            raise ListNotFound
    await _tell(feed, account)
    return await read(feed, account, list_id)


async def delete(feed: Feed, account: Account, list_id: int) -> None:
    """Remove a list. Raises ListNotFound."""
    async with feed.db.transaction() as tx:
        if not await lists.delete_list(tx, account.id, list_id):
            raise ListNotFound
    await _tell(feed, account)


async def add_members(feed: Feed, account: Account, list_id: int, member_ids: Sequence[int]) -> None:
    """Put people on a list whom one follows. Raises ListNotFound, AccountNotFound for one whom one doesn't follow."""
    wanted = {*member_ids[:MOST_MEMBERS]}
    async with feed.db.transaction() as tx:
        if not await lists.lock_list(tx, account.id, list_id):
            raise ListNotFound
        if await relations.list_followed(tx, account.id, sorted(wanted - {account.id})) != wanted - {account.id}:
            raise AccountNotFound
        await lists.add_members(tx, account.id, list_id, sorted(wanted))
    await _tell(feed, account)


async def delete_members(feed: Feed, account: Account, list_id: int, member_ids: Sequence[int]) -> None:
    """Take people off a list. Raises ListNotFound."""
    async with feed.db.transaction() as tx:
        if not await lists.lock_list(tx, account.id, list_id):
            raise ListNotFound
        await lists.delete_members(tx, account.id, list_id, member_ids[:MOST_MEMBERS])
    await _tell(feed, account)


async def _tell(feed: Feed, account: Account) -> None:
    """Let all processes know: an exclusive list takes its members out of home, and open streams show lists too."""
    await feed.relations.invalidate([account.id])
    await feed.streams.tell_follows(account.id)


async def list_members(feed: Feed, account: Account, list_id: int, page: Range | None = None) -> list[Account]:
    """A page of who is on a list, or everybody. Raises ListNotFound."""
    async with feed.db.read(fresh=True) as tx:
        if await lists.find_list(tx, account.id, list_id) is None:
            raise ListNotFound
        if page is None:
            ids = sorted(await lists.list_member_ids(tx, account.id, list_id), reverse=True)
        else:
            ids = await lists.list_member_page(tx, account.id, list_id, page)
    found = await feed.accounts.get_many(ids)
    return [found[each] for each in ids if each in found]
