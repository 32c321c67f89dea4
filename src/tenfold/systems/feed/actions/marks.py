"""Liking, keeping and muting posts, and undoing it; who liked and repeated one."""

from typing import Literal

import msgspec

from tenfold.contracts.feed import PostMarked
from tenfold.platform import outbox
from tenfold.systems.feed.actions.context import Feed, find_visible, relations_of, visible
from tenfold.systems.feed.store import marks
from tenfold.systems.feed.types import Account, MarkKind, Post, Range


async def mark(feed: Feed, account: Account, post_id: int, kind: MarkKind, *, on: bool) -> Post:
    """Favourite or bookmark a post, or mute its conversation; or no longer. The post. Raises PostNotFound.

    Of a repost it is the original that is marked. Doing it twice changes nothing.
    """
    post = await find_visible(feed, post_id, account.id)
    if post.reblog_of_id is not None:
        post = await find_visible(feed, post.reblog_of_id, account.id)
    about = post.conversation_id if kind == "mute" else post.id
    async with feed.db.transaction() as tx:
        if on:
            changed = await marks.insert_mark(tx, account.id, kind, about, feed.ids.next())
        else:
            changed = await marks.delete_mark(tx, account.id, kind, about) is not None
        if changed and kind == "favourite":
            event = PostMarked(post_id=post.id, author_id=post.author_id, account_id=account.id, on=on)
            await outbox.emit(tx, event)
    if not changed:
        return post
    await feed.marks.invalidate([account.id])
    if kind != "favourite":
        return post
    # The counts follow behind; who has just changed one sees it at once.
    return msgspec.structs.replace(post, favourites=max(0, post.favourites + (1 if on else -1)))


class MarkedPage(msgspec.Struct, frozen=True):
    posts: list[Post]
    #: Of all marks of the page, also those on posts that are gone or hidden: the next page is beyond these.
    ids: list[int]


async def list_marked(feed: Feed, account: Account, kind: MarkKind, page: Range) -> MarkedPage:
    """A page of the posts that one has marked, the last marked first."""
    async with feed.db.read(fresh=True) as tx:
        rows = await marks.list_marked(tx, account.id, kind, page)
    found = await visible(feed, [row.post_id for row in rows], account.id)
    return MarkedPage(found, [row.id for row in rows])


class MarkersPage(msgspec.Struct, frozen=True):
    accounts: list[Account]
    #: Of all accounts of the page, also those that the reader doesn't see: the next page is beyond these.
    ids: list[int]


async def list_markers(
    feed: Feed, post_id: int, kind: Literal["favourite", "reblog"], reader_id: int | None, page: Range
) -> MarkersPage:
    """A page of those who liked a post, or repeated it where the reader can see. Raises PostNotFound."""
    post = await find_visible(feed, post_id, reader_id)
    async with feed.db.read() as tx:
        rows = await marks.list_markers(tx, post.reblog_of_id or post.id, kind, page)
    ids = [row.account_id for row in rows]
    shown = set(ids)
    if kind == "reblog":
        shown = {each.author_id for each in await visible(feed, [row.id for row in rows], reader_id)}
    hidden = await relations_of(feed, reader_id)
    people = await feed.accounts.get_many(shown - hidden.blocks - hidden.blocked)
    return MarkersPage([people[each] for each in ids if each in people], ids)
