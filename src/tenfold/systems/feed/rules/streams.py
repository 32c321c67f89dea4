"""Which open streams something concerns: what is told to all processes, and the topics that it goes to."""

from collections.abc import Collection, Iterable
from typing import Literal

import msgspec

from tenfold.systems.feed.types import Post, Visibility

#: What a stream listens to: a kind, and whose or which (an account, a tag, or nothing).
type Topic = tuple[str, int | str]
#: A stream as clients name it: ("user",), ("hashtag", "cats"), ("list", "12").
type Stream = tuple[str, ...]

#: Streams of everything public, and whether they want attachments. All posts are local, so those of remote ones are
#: silent.
PUBLIC = {"public": False, "public:local": False, "public:media": True, "public:local:media": True}
REMOTE = ("public:remote", "public:remote:media")
TAGGED = ("hashtag", "hashtag:local")


class PostTold(msgspec.Struct, frozen=True, array_like=True, tag="post", kw_only=True):
    """A post is new, reads differently, or is gone."""

    event: Literal["update", "status.update", "delete"]
    id: int
    author_id: int
    visibility: Visibility
    repost: bool
    #: Whom it answers, other than its author.
    answers: int | None
    tags: list[str]
    mentions: list[int]
    media: bool


class NoticeTold(msgspec.Struct, frozen=True, array_like=True, tag="notice"):
    """An account has a new notification."""

    account_id: int
    id: int


class FollowsTold(msgspec.Struct, frozen=True, array_like=True, tag="follows"):
    """An account follows others than before, or has others on its lists."""

    account_id: int


type Told = PostTold | NoticeTold | FollowsTold


def of_post(post: Post, event: Literal["update", "status.update", "delete"]) -> PostTold:
    """What is told of a post."""
    return PostTold(
        event=event,
        id=post.id,
        author_id=post.author_id,
        visibility=post.visibility,
        repost=post.reblog_of_id is not None,
        answers=None if post.in_reply_to_account_id == post.author_id else post.in_reply_to_account_id,
        tags=[tag.lower() for tag in post.tags],
        mentions=[mention.id for mention in post.mentions],
        media=bool(post.media),
    )


def topics(told: Told) -> Iterable[Topic]:
    """Where something goes. Who listens there may still not see it: a block, a mute, a private post."""
    if isinstance(told, NoticeTold):
        yield "notices", told.account_id
    elif isinstance(told, FollowsTold):
        yield "follows", told.account_id
    elif told.visibility == "direct":
        for each in {told.author_id, *told.mentions}:
            yield "direct", each
    else:
        yield "author", told.author_id
        if told.visibility == "public" and not told.repost:
            for tag in told.tags:
                yield "tag", tag
            if told.answers is None:
                yield "public", ""
                if told.media:
                    yield "media", ""


def shows_reply(told: PostTold, reader_id: int, known: Collection[int]) -> bool:
    """Whether a home or a list shows a post in view of whom it answers: `known` are those to whom it shows replies."""
    return told.answers is None or told.author_id == reader_id or told.answers in known
