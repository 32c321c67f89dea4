"""Streaming: what a reader listens to, and what of that which comes in they may see."""

from collections.abc import Sequence
from time import time
from typing import NamedTuple

from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Principal
from tenfold.platform.limits import Limit
from tenfold.systems.feed.actions import notifications
from tenfold.systems.feed.actions.context import Feed, load_posts, posts_of, relations_of, visible
from tenfold.systems.feed.actions.notifications import Conversation, Shown
from tenfold.systems.feed.errors import ListNotFound
from tenfold.systems.feed.hot.streams import Listening, Reader
from tenfold.systems.feed.rules import streams as rules
from tenfold.systems.feed.rules import timelines
from tenfold.systems.feed.rules.streams import FollowsTold, NoticeTold, PostTold, Stream, Told, Topic
from tenfold.systems.feed.store import lists
from tenfold.systems.feed.store import timelines as timeline_store
from tenfold.systems.feed.types import Post, Relations

#: Opening, and beginning to listen: each may read all whom somebody follows.
LISTEN = Limit(name="feed.listen", rates={"anonymous": "120/minute"})
#: Streams of one connection.
MOST_STREAMS = 32


class NoSuchStream(Invalid):
    """Unknown stream type."""

    status = 400


class Event(NamedTuple):
    """What goes to a client: of which stream, and a post, a notification, a conversation, or the id of what is gone."""

    stream: Stream
    name: str
    about: Post | Shown | Conversation | int


async def check(feed: Feed, principal: Principal, stream: Stream) -> int:
    """The account that may listen to a stream now.

    Raises NoSuchStream, ListNotFound, Unauthorized, ScopeMissing, TooManyRequests.
    """
    reader_id = principal.require(_SCOPES.get(stream[0], "read:statuses"))
    await feed.limits.take(LISTEN, principal)
    await _heard(feed, reader_id, stream, notices=False)
    return reader_id


_SCOPES = {"user:notification": "read:notifications", "list": "read:lists"}


async def listen(feed: Feed, reader: Reader, stream: Stream, *, notices: bool) -> None:
    """Have a reader listen to a stream; with `notices` their home brings notifications too.

    Raises NoSuchStream, ListNotFound.
    """
    topics, known = await _heard(feed, reader.account_id, stream, notices=notices)
    reader.listen(stream, topics, known)


async def _heard(feed: Feed, reader_id: int, stream: Stream, *, notices: bool) -> tuple[list[Topic], frozenset[int]]:
    """What a stream listens to, and to whom it shows replies."""
    name = stream[0]
    nobody: frozenset[int] = frozenset()
    if name == "user":
        async with feed.db.read(fresh=True) as tx:
            known = frozenset([*await timeline_store.list_followee_ids(tx, reader_id), reader_id])
        topics: list[Topic] = [("author", each) for each in known]
        return [*topics, ("follows", reader_id), *([("notices", reader_id)] if notices else [])], known
    if name == "list":
        async with feed.db.read(fresh=True) as tx:
            list_id = int(stream[1])
            policy = await lists.find_replies_policy(tx, reader_id, list_id)
            if policy is None:
                raise ListNotFound
            members = await lists.list_member_ids(tx, reader_id, list_id)
            known = frozenset(members) if policy == "list" else nobody
            if policy == "followed":
                known = frozenset([*members, *await timeline_store.list_followee_ids(tx, reader_id), reader_id])
        return [*(("author", each) for each in members), ("follows", reader_id)], known
    if name == "user:notification":
        return [("notices", reader_id)], nobody
    if name == "direct":
        return [("direct", reader_id)], nobody
    if name in rules.TAGGED:
        return [("tag", stream[1])], nobody
    if name in rules.PUBLIC:
        return [("media" if rules.PUBLIC[name] else "public", "")], nobody
    if name in rules.REMOTE:
        return [], nobody
    raise NoSuchStream


async def see(feed: Feed, reader: Reader, arrived: Sequence[tuple[Listening, Told]], *, notices: bool) -> list[Event]:
    """What of that which came in a reader may see, in order; reads again whom they follow, where that changed."""
    reader_id = reader.account_id
    for stream in {listening.stream for listening, told in arrived if isinstance(told, FollowsTold)}:
        try:
            await listen(feed, reader, stream, notices=notices)
        except ListNotFound:
            reader.leave(stream)
    posts = await _readable(feed, reader_id, [told for _, told in arrived if isinstance(told, PostTold)])
    ids = [told.id for _, told in arrived if isinstance(told, NoticeTold)]
    found = await notifications.find_many(feed, reader_id, ids) if ids else []
    shown = {each.notice.id: each for each in found}
    hidden, now = await relations_of(feed, reader_id), time()
    events: list[Event] = []
    for listening, told in arrived:
        stream = listening.stream
        if isinstance(told, NoticeTold) and told.id in shown:
            events.append(Event(stream, "notification", shown[told.id]))
        if not isinstance(told, PostTold):
            continue
        by_author = stream[0] in ("user", "list")
        if by_author and not rules.shows_reply(told, reader_id, listening.known):
            continue
        post = posts.get(told.id)
        if told.event == "delete":
            events.append(Event(stream, "delete", told.id))
        elif post is not None and stream[0] == "direct":
            about = await notifications.conversation_of(feed, reader_id, post)
            events.append(Event(stream, "conversation", about))
        elif post is not None and not _hides(stream, post, posts.get(post.reblog_of_id or 0), hidden, now):
            events.append(Event(stream, told.event, post))
    return events


def _hides(stream: Stream, post: Post, original: Post | None, hidden: Relations, now: float) -> bool:
    """Whether a reader has decided against a post, in their home or elsewhere."""
    if stream[0] == "user":
        return timelines.hidden_from_home(post, original, hidden, now)
    authors = [post.author_id] if original is None else [post.author_id, original.author_id]
    return any(timelines.hides(each, hidden, now) for each in authors)


async def _readable(feed: Feed, reader_id: int, told: Sequence[PostTold]) -> dict[int, Post]:
    """Those of the posts, and of the posts that they repeat, that a reader may see at all."""
    ids = list(dict.fromkeys(each.id for each in told if each.event != "delete"))
    if not ids:
        return {}
    posts = {post.id: post for post in await visible(feed, ids, reader_id)}
    # The word that a post was edited may be here before the one that it is to be forgotten.
    edited = [each.id for each in told if each.event == "status.update" and each.id in posts]
    if edited:
        posts |= await load_posts(feed.db, edited)
    originals = {post.reblog_of_id for post in posts.values() if post.reblog_of_id is not None}
    return {**await posts_of(feed, originals), **posts}
