"""Following, blocking, muting: who is in whose home, and who is kept out of it."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import structlog

from tenfold.contracts.feed import FollowChanged
from tenfold.platform import outbox
from tenfold.platform.db import Tx
from tenfold.platform.errors import Unavailable
from tenfold.systems.feed.actions.context import Feed, find_account, relations_of
from tenfold.systems.feed.errors import AccountNotFound, NotAllowed, TooManyFollows
from tenfold.systems.feed.hot import celebrities
from tenfold.systems.feed.rules.timelines import hides
from tenfold.systems.feed.store import relations, timelines
from tenfold.systems.feed.store.relations import Kind, Relationship
from tenfold.systems.feed.types import Account, Range

log = structlog.get_logger(__name__)

#: Accounts whose common acquaintances one may ask for at once, and how many of those are named.
MOST_FAMILIAR, FAMILIAR_SHOWN = 10, 20
#: Requests that one transaction accepts when an account is unlocked.
ACCEPTED_AT_ONCE = 500

type Listing = Callable[[Tx, int, Range], Awaitable[list[int]]]


# --- following ------------------------------------------------------------------------------------------------------


async def follow(
    feed: Feed, account: Account, other_id: int, *, reblogs: bool | None = None, notify: bool | None = None
) -> Relationship:
    """Follow somebody, or ask to if they are locked. Who follows already changes what they want to see.

    Raises AccountNotFound, NotAllowed (oneself, or a block in either direction), TooManyFollows.
    """
    other = await find_account(feed, other_id)
    if other.id == account.id:
        raise NotAllowed(reason="nobody follows themselves")
    wanted = {"reblogs": True if reblogs is None else reblogs, "notify": bool(notify)}
    async with feed.db.transaction() as tx:
        await relations.lock_pair(tx, account.id, other.id)
        if await relations.are_blocked(tx, account.id, other.id):
            raise NotAllowed(reason="one of you blocks the other")
        known = await relations.change_follow(tx, account.id, other.id, reblogs=reblogs, notify=notify)
        if not known and not await relations.change_request(tx, account.id, other.id, reblogs=reblogs, notify=notify):
            limit = feed.settings.follows
            if await relations.count_following(tx, account.id, limit) >= limit:
                raise TooManyFollows(limit=limit)
            if other.locked:
                await relations.insert_request(tx, account.id, other.id, **wanted)
            else:
                await relations.insert_follow(tx, account.id, other.id, **wanted)
            await _emit(tx, account.id, other.id, following=not other.locked, requested=other.locked)
    await _tell(feed, [account.id, other.id], homes=[] if known else [account.id])
    return await _relationship(feed, account, other.id)


async def unfollow(feed: Feed, account: Account, other_id: int) -> Relationship:
    """Follow somebody no longer, and want to no longer. Raises AccountNotFound."""
    await find_account(feed, other_id)
    async with feed.db.transaction() as tx:
        await relations.delete_request(tx, account.id, other_id)
        await _end_follow(tx, account.id, other_id)
    await _tell(feed, [account.id, other_id], homes=[account.id])
    return await _relationship(feed, account, other_id)


async def remove_follower(feed: Feed, account: Account, other_id: int) -> Relationship:
    """Have somebody follow one no longer. Raises AccountNotFound."""
    await find_account(feed, other_id)
    async with feed.db.transaction() as tx:
        await _end_follow(tx, other_id, account.id)
    await _tell(feed, [account.id, other_id], homes=[other_id])
    return await _relationship(feed, account, other_id)


async def authorize(feed: Feed, account: Account, other_id: int) -> Relationship:
    """Let somebody follow who asked to. Raises AccountNotFound when they haven't."""
    async with feed.db.transaction() as tx:
        if not await _accept(tx, account.id, other_id):
            raise AccountNotFound
    await _tell(feed, [account.id, other_id], homes=[other_id])
    return await _relationship(feed, account, other_id)


async def reject(feed: Feed, account: Account, other_id: int) -> Relationship:
    """Turn down somebody's request to follow. Raises AccountNotFound when there is none."""
    async with feed.db.transaction() as tx:
        if await relations.delete_request(tx, other_id, account.id) is None:
            raise AccountNotFound
    return await _relationship(feed, account, other_id)


async def authorize_all(feed: Feed, account: Account) -> None:
    """Let everybody follow who asked to, as when an account isn't locked any more."""
    while True:
        async with feed.db.transaction() as tx:
            waiting = await relations.list_requester_ids(tx, account.id, Range(limit=ACCEPTED_AT_ONCE))
            for each in waiting:
                await _accept(tx, account.id, each)
        if not waiting:
            return
        await _tell(feed, [account.id, *waiting], homes=waiting)


async def _accept(tx: Tx, account_id: int, follower_id: int) -> bool:
    """Make a follow of a request. A block that comes meanwhile removes requests first and follows after, so it finds
    either."""
    wanted = await relations.delete_request(tx, follower_id, account_id)
    if wanted is None:
        return False
    if await relations.insert_follow(tx, follower_id, account_id, reblogs=wanted.reblogs, notify=wanted.notify):
        await _emit(tx, follower_id, account_id, following=True)
    return True


async def _end_follow(tx: Tx, follower_id: int, followee_id: int) -> None:
    if await relations.delete_follow(tx, follower_id, followee_id):
        await _emit(tx, follower_id, followee_id, following=False)


async def _emit(tx: Tx, follower_id: int, followee_id: int, *, following: bool, requested: bool = False) -> None:
    event = FollowChanged(follower_id=follower_id, followee_id=followee_id, following=following, requested=requested)
    await outbox.emit(tx, event)


# --- blocks and mutes -----------------------------------------------------------------------------------------------


async def block(feed: Feed, account: Account, other_id: int) -> Relationship:
    """Let neither see the other, nor follow. Raises AccountNotFound, NotAllowed for oneself."""
    await _find_other(feed, account, other_id)
    async with feed.db.transaction() as tx:
        await relations.lock_pair(tx, account.id, other_id)
        for follower, followee in ((account.id, other_id), (other_id, account.id)):
            await relations.delete_request(tx, follower, followee)
            await _end_follow(tx, follower, followee)
        await relations.insert_relation(tx, account.id, "blocks", other_id)
        await relations.insert_relation(tx, other_id, "blocked", account.id)
        await relations.delete_notices(tx, account.id, other_id)
    await _tell(feed, [account.id, other_id], homes=[account.id, other_id])
    return await _relationship(feed, account, other_id)


async def unblock(feed: Feed, account: Account, other_id: int) -> Relationship:
    """Raises AccountNotFound."""
    await find_account(feed, other_id)
    async with feed.db.transaction() as tx:
        await relations.lock_pair(tx, account.id, other_id)
        await relations.delete_relation(tx, account.id, "blocks", other_id)
        await relations.delete_relation(tx, other_id, "blocked", account.id)
    await _tell(feed, [account.id, other_id], homes=[])
    return await _relationship(feed, account, other_id)


async def mute(
    feed: Feed, account: Account, other_id: int, *, seconds: int = 0, notifications: bool = True
) -> Relationship:
    """See nothing of somebody's, not even in notifications, for so many seconds (0: for ever).

    Raises AccountNotFound, NotAllowed for oneself.
    """
    await _find_other(feed, account, other_id)
    async with feed.db.transaction() as tx:
        await relations.insert_relation(
            tx, account.id, "mutes", other_id, notifications=notifications, seconds=seconds or None
        )
    await _tell(feed, [account.id], homes=[])
    return await _relationship(feed, account, other_id)


async def unmute(feed: Feed, account: Account, other_id: int) -> Relationship:
    """Raises AccountNotFound."""
    await find_account(feed, other_id)
    async with feed.db.transaction() as tx:
        await relations.delete_relation(tx, account.id, "mutes", other_id)
    await _tell(feed, [account.id], homes=[])
    return await _relationship(feed, account, other_id)


async def note(feed: Feed, account: Account, other_id: int, comment: str) -> Relationship:
    """Keep a word about somebody that only its author sees. Raises AccountNotFound."""
    await find_account(feed, other_id)
    async with feed.db.transaction() as tx:
        await relations.set_note(tx, account.id, other_id, comment.strip())
    return await _relationship(feed, account, other_id)


async def _find_other(feed: Feed, account: Account, other_id: int) -> Account:
    if other_id == account.id:
        raise NotAllowed(reason="nobody hides from themselves")
    return await find_account(feed, other_id)


async def _tell(feed: Feed, account_ids: Collection[int], homes: Collection[int]) -> None:
    """Let all processes know what has changed for readers. The consumer of FollowChanged does so again."""
    await feed.relations.invalidate(account_ids)
    try:
        await feed.timelines.drop(homes)
    except Unavailable:
        log.info("timelines_not_dropped", count=len(homes))
    for each in homes:
        await feed.streams.tell_follows(each)


# --- reading --------------------------------------------------------------------------------------------------------


async def relationships(feed: Feed, account: Account, ids: Sequence[int]) -> list[Relationship]:
    """How an account stands to others, in their order; without those that don't exist."""
    existing = await feed.accounts.get_many(ids)
    async with feed.db.read(fresh=True) as tx:
        return await relations.list_relationships(
            tx, account.id, [each for each in dict.fromkeys(ids) if each in existing]
        )


async def _relationship(feed: Feed, account: Account, other_id: int) -> Relationship:
    async with feed.db.read(fresh=True) as tx:
        return (await relations.list_relationships(tx, account.id, [other_id]))[0]


async def followers(feed: Feed, account_id: int, reader_id: int | None, page: Range) -> list[Account]:
    """A page of an account's followers, the newest accounts first. Raises AccountNotFound."""
    return await _people_of(feed, account_id, reader_id, relations.list_follower_ids, page)


async def following(feed: Feed, account_id: int, reader_id: int | None, page: Range) -> list[Account]:
    """A page of whom an account follows, the newest accounts first. Raises AccountNotFound."""
    return await _people_of(feed, account_id, reader_id, relations.list_following_ids, page)


async def _people_of(feed: Feed, id: int, reader_id: int | None, listing: Listing, page: Range) -> list[Account]:
    await find_account(feed, id)
    hidden = await relations_of(feed, reader_id)
    if id in hidden.blocked:
        return []
    async with feed.db.read(fresh=id == reader_id) as tx:
        ids = await listing(tx, id, page)
    return await _accounts(feed, ids)


async def requests(feed: Feed, account: Account, page: Range) -> list[Account]:
    """A page of who asks to follow."""
    async with feed.db.read(fresh=True) as tx:
        return await _accounts(feed, await relations.list_requester_ids(tx, account.id, page))


async def related(feed: Feed, account: Account, kind: Kind, page: Range) -> list[Account]:
    """A page of whom one blocks or mutes."""
    async with feed.db.read(fresh=True) as tx:
        ids = await relations.list_related_ids(tx, account.id, kind, page)
    return await _accounts(feed, ids)


async def mute_ends(feed: Feed, account: Account) -> Mapping[int, float]:
    """When each of one's mutes ends, in seconds since 1970; 0.0 is never."""
    return (await relations_of(feed, account.id)).mutes


async def familiar(feed: Feed, account: Account, ids: Sequence[int]) -> list[tuple[int, list[Account]]]:
    """Of each account the followers whom one follows oneself, some of them."""
    async with feed.db.read() as tx:
        known = await timelines.list_followee_ids(tx, account.id)
        found = await relations.list_familiar(tx, ids[:MOST_FAMILIAR], known, FAMILIAR_SHOWN)
    people = await feed.accounts.get_many({each for row in found for each in row.follower_ids})
    hidden = await relations_of(feed, account.id)
    return [
        (row.id, [people[each] for each in row.follower_ids if each in people and not hides(each, hidden)])
        for row in found
    ]


async def _accounts(feed: Feed, ids: Sequence[int]) -> list[Account]:
    found = await feed.accounts.get_many(ids)
    return [found[each] for each in ids if each in found]


# --- behind the fact ------------------------------------------------------------------------------------------------


async def count(tx: Tx, feed: Feed, changes: Sequence[FollowChanged]) -> None:
    """Add follows that began or ended to the counts, in one go. All processes are told when somebody became famous."""
    followers: dict[int, int] = {}
    following: dict[int, int] = {}
    for change in changes:
        if not change.requested:
            step = 1 if change.following else -1
            followers[change.followee_id] = followers.get(change.followee_id, 0) + step
            following[change.follower_id] = following.get(change.follower_id, 0) + step
    crossed = await relations.add_follows(tx, followers, following, feed.settings.celebrity_followers)
    tx.after_commit(lambda: tell_counted(feed, {*followers, *following}, crossed=bool(crossed)))


async def tell_counted(feed: Feed, account_ids: Collection[int], *, crossed: bool) -> None:
    """Let all processes know of new counts, and of new celebrities: those who miss it read the list again soon."""
    await feed.accounts.invalidate(account_ids)
    if crossed:
        await feed.bus.broadcast(celebrities.SUBJECT)


async def refresh(feed: Feed, changes: Sequence[FollowChanged]) -> None:
    """Have homes filled anew whose followed have changed, also if who changed them died, or Valkey was away, meanwhile.

    Raises Unavailable while Valkey is away.
    """
    await feed.relations.invalidate({each for change in changes for each in (change.follower_id, change.followee_id)})
    await feed.timelines.drop({change.follower_id for change in changes if not change.requested})


async def forget_ended(feed: Feed) -> None:
    """Remove mutes that are over, and traces of those who were unfollowed."""
    async with feed.db.transaction() as tx:
        await relations.delete_ended_relations(tx)
