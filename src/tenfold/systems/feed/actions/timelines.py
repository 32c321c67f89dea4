"""Reading timelines, and delivering to them: the hybrid of pushing and merging."""

import asyncio
from collections.abc import Mapping, Sequence
from time import time

import msgspec
import structlog

from tenfold.platform import outbox
from tenfold.platform.db import Tx
from tenfold.platform.errors import Unavailable
from tenfold.systems.feed.actions.context import Feed, posts_of, relations_of, visible
from tenfold.systems.feed.errors import ListNotFound
from tenfold.systems.feed.rules import timelines as rules
from tenfold.systems.feed.store import lists, relations, timelines
from tenfold.systems.feed.types import FanOut, Post, Range, Relations

log = structlog.get_logger(__name__)

#: How often a page is topped up for what a reader has hidden, before it may stay short.
TOP_UPS = 10


async def read_home(feed: Feed, reader_id: int, page: Range) -> list[Post]:
    """A page of a reader's home, newest first: what was pushed, merged with what followed celebrities wrote."""
    hidden = await relations_of(feed, reader_id)
    pushed = await _pushed(feed, reader_id, hidden)
    merged = [pushed]
    if hidden.celebrities:
        authored = await feed.authored.get_many(hidden.celebrities)
        merged += [rules.unpack(each.ids) for each in authored.values()]
    now, hiding = time(), rules.hides_any(hidden)
    found: list[Post] = []
    for _ in range(TOP_UPS):
        ids = rules.merge(merged, page)
        posts = await posts_of(feed, ids)
        kept = [
            post
            for post in (posts[each] for each in ids if each in posts)
            if post.reblog_of_id is None or post.reblog_of_id in posts
        ]
        if hiding:
            kept = [
                post
                for post in kept
                if not rules.hidden_from_home(post, posts.get(post.reblog_of_id or 0), hidden, now)
            ]
        if hidden.celebrities:
            kept = await _without_strangers(feed, kept, reader_id, hidden)
        found += kept
        missing = page.limit - len(found)
        if len(ids) < page.limit or len(found) >= page.limit or missing <= 0:
            break
        page = _beyond(page, ids)
    if page.min_id is not None:
        return sorted(found, key=_id, reverse=True)[-page.limit :]
    return found[: page.limit]


def _id(post: Post) -> int:
    return post.id


def _beyond(page: Range, ids: Sequence[int]) -> Range:
    """The page that follows one that had these ids."""
    if page.min_id is not None:
        return msgspec.structs.replace(page, min_id=ids[0])
    return msgspec.structs.replace(page, max_id=ids[-1])


async def _without_strangers(feed: Feed, posts: list[Post], reader_id: int, hidden: Relations) -> list[Post]:
    """Without a celebrity's replies to people whom the reader doesn't follow. The others' were never pushed."""
    answered = {
        post.id: post.in_reply_to_account_id
        for post in posts
        if post.author_id in hidden.celebrities
        and post.in_reply_to_account_id is not None
        and post.in_reply_to_account_id not in (post.author_id, reader_id)
    }
    if not answered:
        return posts
    async with feed.db.read(fresh=True) as tx:
        followed = await relations.list_followed(tx, reader_id, sorted(set(answered.values())))
    return [post for post in posts if post.id not in answered or answered[post.id] in followed]


async def _pushed(feed: Feed, reader_id: int, hidden: Relations) -> rules.Ids:
    """What was pushed to a reader, ascending.

    A timeline that lapsed, or that Valkey has lost, is filled from the database. Without Valkey that answers each time.
    """
    try:
        found = await feed.timelines.read(reader_id)
        if found is not None:
            return found
        build = await feed.timelines.begin(reader_id)
    except Unavailable:
        return rules.as_timeline(await _rebuild(feed, reader_id, hidden))
    # From here on what is pushed waits in the new timeline, so that no post falls between reading and filling.
    ids = await _rebuild(feed, reader_id, hidden)
    try:
        await feed.timelines.fill(reader_id, build, ids)
    except Unavailable:
        log.info("timeline_not_kept")
    return rules.as_timeline(ids)


async def _rebuild(feed: Feed, reader_id: int, hidden: Relations) -> list[int]:
    length = feed.settings.timeline_length
    ids: list[int] = []
    async with feed.db.read(fresh=True) as tx:
        followees = await timelines.list_followee_ids(tx, reader_id)
        authors = [each for each in followees if each not in hidden.celebrities] + [reader_id]
        for floor in rules.home_floors(time()):
            ids = await timelines.list_home_ids(tx, reader_id, authors, followees, floor, length)
            if len(ids) == length:
                break
    return ids


# --- delivering -----------------------------------------------------------------------------------------------------


class Delivery(msgspec.Struct, frozen=True):
    """A post that goes out: to its author, and if it is `pushed` to their followers."""

    post_id: int
    author_id: int
    answers: int | None
    """Whom it answers, other than the author."""
    pushed: bool


async def deliver(tx: Tx, feed: Feed, deliveries: Sequence[Delivery]) -> None:
    """Push posts into the timelines of small audiences now; big ones go behind, where they are cut into pieces.

    So one author's million followers don't delay another's ten: to leave them to others takes no longer than to serve
    a few. What is done twice after a crash is seen once.
    """
    size = feed.settings.fan_out_piece
    readers: dict[int, list[int]] = {}
    big: list[FanOut] = []
    counted = await timelines.list_follower_counts(tx, [each.author_id for each in deliveries if each.pushed])
    for each in deliveries:
        followers: list[int] = []
        if each.pushed:
            many = counted.get(each.author_id, 0) > size
            if not many:  # so far: they are counted behind the fact
                followers = await timelines.list_follower_ids(tx, each.author_id, 0, _END, size + 1)
            if many or len(followers) > size:
                big.append(FanOut(post_id=each.post_id, author_id=each.author_id, answers=each.answers))
                followers = []
        readers[each.post_id] = [each.author_id, *await _who_know(tx, each.answers, followers)]
    if big:
        await outbox.emit_many(tx, big)
    await feed.timelines.push_many(readers)


async def deliver_pieces(tx: Tx, feed: Feed, pieces: Sequence[FanOut]) -> None:
    """Push pieces of big audiences, and cut those that are still whole. One is pushed while the next is looked up."""
    pushing: asyncio.Task[int] | None = None
    try:
        for piece in pieces:
            if piece.end is None:
                await _cut(tx, feed, piece)
                continue
            # A piece may have grown since it was cut.
            followers = await timelines.list_follower_ids(tx, piece.author_id, piece.first, piece.end, _END)
            readers = await _who_know(tx, piece.answers, followers)
            if pushing is not None:
                await pushing
            pushing = asyncio.create_task(feed.timelines.push(piece.post_id, readers))
        if pushing is not None:
            await pushing
    finally:
        if pushing is not None and not pushing.done():
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)


async def _cut(tx: Tx, feed: Feed, whole: FanOut) -> None:
    starts = await timelines.list_piece_starts(tx, whole.author_id, feed.settings.fan_out_piece)
    pieces = [
        FanOut(post_id=whole.post_id, author_id=whole.author_id, answers=whole.answers, first=first, end=end)
        for first, end in rules.bounds(starts)
    ]
    if pieces:
        await outbox.emit_many(tx, pieces)


async def _who_know(tx: Tx, answered: int | None, followers: Sequence[int]) -> Sequence[int]:
    """Those who get a reply: they follow whom it answers as well, or are it."""
    if answered is None or not followers:
        return followers
    known = await timelines.list_followers_among(tx, answered, followers)
    return [*known, answered] if answered in followers else known


#: Larger than any id.
_END = (1 << 63) - 1


# --- other timelines ------------------------------------------------------------------------------------------------


async def read_public(feed: Feed, reader_id: int | None, page: Range, *, only_media: bool) -> list[Post]:
    """A page of what everybody here posts publicly."""
    async with feed.db.read() as tx:
        ids = await timelines.list_public_ids(tx, page, only_media=only_media)
    return await _without_hidden(feed, ids, reader_id)


class Tags(msgspec.Struct, frozen=True, kw_only=True):
    """Which tags a timeline is of, in lower case."""

    tag: str
    any_of: Sequence[str] = ()
    all_of: Sequence[str] = ()
    none_of: Sequence[str] = ()


async def read_tag(feed: Feed, reader_id: int | None, tags: Tags, page: Range, *, only_media: bool) -> list[Post]:
    """A page of public posts under a tag."""
    async with feed.db.read() as tx:
        ids = await timelines.list_tagged_ids(
            tx, tags.tag, page, any_of=tags.any_of, all_of=tags.all_of, none_of=tags.none_of, media=only_media
        )
    return await _without_hidden(feed, ids, reader_id)


async def read_list(feed: Feed, account_id: int, list_id: int, page: Range) -> list[Post]:
    """A page of what the members of one's list wrote. Raises ListNotFound."""
    async with feed.db.read(fresh=True) as tx:
        policy = await lists.find_replies_policy(tx, account_id, list_id)
        if policy is None:
            raise ListNotFound
        members = await lists.list_member_ids(tx, account_id, list_id)
        ids = await timelines.list_authored_by(tx, members, page, replies=policy)
    found = await _without_hidden(feed, ids, account_id)
    if policy != "followed":
        return found
    answered = {post.in_reply_to_account_id for post in found} - {None}
    async with feed.db.read(fresh=True) as tx:
        followed = await relations.list_followed(tx, account_id, [each for each in answered if each is not None])
    kept = followed | {None, account_id, *members}
    return [post for post in found if post.in_reply_to_account_id in kept]


async def _without_hidden(feed: Feed, ids: Sequence[int], reader_id: int | None) -> list[Post]:
    """Those that a reader may see and hasn't muted."""
    found = await visible(feed, ids, reader_id)
    hidden = await relations_of(feed, reader_id)
    originals: Mapping[int, Post] = await posts_of(feed, {post.reblog_of_id for post in found} - {None})  # type: ignore[arg-type]
    now = time()
    return [
        post
        for post in found
        if not rules.hides(post.author_id, hidden, now)
        and (
            post.reblog_of_id is None
            or (post.reblog_of_id in originals and not rules.hides(originals[post.reblog_of_id].author_id, hidden, now))
        )
    ]
