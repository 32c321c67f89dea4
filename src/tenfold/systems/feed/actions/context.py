"""What the feed holds open in a process, and how posts, accounts and what readers may see of them are loaded."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from tenfold.platform.blobs import Blobs
from tenfold.platform.bus import Bus
from tenfold.platform.cache import Cache
from tenfold.platform.db import Database
from tenfold.platform.identity import Identity, Principal
from tenfold.platform.ids import Ids
from tenfold.platform.limits import Limits
from tenfold.systems.feed.errors import AccountNotFound, NameInUse, PostNotFound
from tenfold.systems.feed.hot.celebrities import Celebrities
from tenfold.systems.feed.hot.streams import Streams
from tenfold.systems.feed.hot.timelines import Timelines
from tenfold.systems.feed.rules import timelines, visibility
from tenfold.systems.feed.settings import FeedSettings
from tenfold.systems.feed.store import accounts, marks, posts, relations
from tenfold.systems.feed.types import Account, Authored, Marks, Post, Relations


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """What actions work with. Caches are told of changes after the commit that made them: `feed.posts.invalidate`."""

    db: Database
    ids: Ids
    bus: Bus
    limits: Limits
    identity: Identity
    blobs: Blobs
    settings: FeedSettings
    url: str
    """Where the feed is, without a slash at the end: https://feed.example.org."""
    accounts: Cache[int, Account]
    posts: Cache[int, Post]
    relations: Cache[int, Relations]
    marks: Cache[int, Marks]
    authored: Cache[int, Authored]
    celebrities: Celebrities
    timelines: Timelines
    streams: Streams


async def load_accounts(db: Database, ids: Sequence[int]) -> Mapping[int, Account]:
    async with db.read(fresh=True) as tx:
        return {account.id: account for account in await accounts.list_accounts(tx, ids)}


async def load_posts(db: Database, ids: Sequence[int]) -> Mapping[int, Post]:
    async with db.read(fresh=True) as tx:
        return {post.id: post for post in await posts.list_posts(tx, ids)}


async def load_celebrities(db: Database) -> list[int]:
    async with db.read(fresh=True) as tx:
        return await accounts.list_celebrities(tx)


async def load_relations(db: Database, celebrities: Celebrities, ids: Sequence[int]) -> Mapping[int, Relations]:
    known = celebrities.ids
    async with db.read(fresh=True) as tx:
        return {each: await relations.find_relations(tx, each, known) for each in ids}


async def load_marks(db: Database, ids: Sequence[int]) -> Mapping[int, Marks]:
    async with db.read(fresh=True) as tx:
        return {each: await marks.find_marks(tx, each) for each in ids}


async def load_authored(db: Database, ids: Sequence[int], length: int) -> Mapping[int, Authored]:
    async with db.read(fresh=True) as tx:
        return {each: Authored(timelines.pack(await posts.list_authored_ids(tx, each, length))) for each in ids}


async def account_of(feed: Feed, principal: Principal, scope: str = "read") -> Account:
    """The account of who asks, made when they come for the first time.

    Raises Unauthorized for a stranger, ScopeMissing, and NameInUse where an import has taken their name.
    """
    account_id = principal.require(scope)
    account = await feed.accounts.get(account_id)
    if account is None:
        name = principal.name or str(account_id)
        async with feed.db.transaction() as tx:
            made = await accounts.insert_account(tx, account_id, name, name)
            if not made and await accounts.find_account_id(tx, name) != account_id:
                raise NameInUse(name=name)
        await feed.accounts.invalidate([account_id])
        account = await feed.accounts.get(account_id)
        assert account is not None
    return account


async def relations_of(feed: Feed, reader_id: int | None) -> Relations:
    """What keeps posts from a reader; nothing does from a stranger."""
    if reader_id is None:
        return _NOBODYS
    found = await feed.relations.get(reader_id)
    if found is not None and found.celebrities_known != len(feed.celebrities.ids):
        await feed.relations.invalidate([reader_id])
        found = await feed.relations.get(reader_id)
    return found or _NOBODYS


_NOBODYS = Relations()


async def posts_of(feed: Feed, ids: Collection[int]) -> dict[int, Post]:
    """Posts by id, and those that they repeat; without those that are gone."""
    found = await feed.posts.get_many(ids)
    originals = {post.reblog_of_id for post in found.values() if post.reblog_of_id is not None} - found.keys()
    if originals:
        found |= await feed.posts.get_many(originals)
    return found


async def visible(feed: Feed, ids: Sequence[int], reader_id: int | None) -> list[Post]:
    """Those of the posts that a reader may see, in the same order. Blocks hide in either direction; mutes don't here.

    A repost is there as long as its original is, and may be seen.
    """
    found = await posts_of(feed, ids)
    hidden = await relations_of(feed, reader_id)
    private = {post.author_id for post in found.values() if post.visibility == "private"} - {reader_id}
    followed: frozenset[int] = frozenset()
    if private and reader_id is not None:
        async with feed.db.read(fresh=True) as tx:
            followed = await relations.list_followed(tx, reader_id, sorted(private))

    def may_see(post: Post | None) -> bool:
        return post is not None and visibility.may_see(post, reader_id, hidden, followed)

    return [
        post
        for post in (found[each] for each in ids if each in found)
        if may_see(post) and (post.reblog_of_id is None or may_see(found.get(post.reblog_of_id)))
    ]


async def find_visible(feed: Feed, id: int, reader_id: int | None) -> Post:
    """A post that the reader may see. Raises PostNotFound."""
    found = await visible(feed, [id], reader_id)
    if not found:
        raise PostNotFound
    return found[0]


async def find_account(feed: Feed, id: int) -> Account:
    """Raises AccountNotFound."""
    found = await feed.accounts.get(id)
    if found is None:
        raise AccountNotFound
    return found


async def marks_of(feed: Feed, reader_id: int | None, post_ids: Iterable[int]) -> Marks:
    """What a reader did with these posts, at least: mostly from memory."""
    if reader_id is None:
        return _NO_MARKS
    recent = await feed.marks.get(reader_id) or _NO_MARKS
    old = [each for each in post_ids if each < recent.floor]
    if not old:
        return recent
    async with feed.db.read(fresh=True) as tx:
        older = await marks.list_marks(tx, reader_id, old)
    return Marks(
        favourites=recent.favourites | older.favourites,
        bookmarks=recent.bookmarks | older.bookmarks,
        reblogs=recent.reblogs | older.reblogs,
        mutes=recent.mutes | older.mutes,
        pins=recent.pins,
    )


_NO_MARKS = Marks()
