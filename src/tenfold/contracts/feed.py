"""What the feed promises to others: its events."""

from typing import Literal

import msgspec

from tenfold.platform.bus import Event


class PostPublished(Event, subject="feed.published", frozen=True, kw_only=True):
    """A post or a repost is there. Never sent for one that its author may not have meant for others to know."""

    post_id: int
    author_id: int
    visibility: Literal["public", "unlisted", "private", "direct"]
    reblog_of_id: int | None = None
    """The post that this one repeats, and its author."""
    reblog_of_author_id: int | None = None
    in_reply_to_id: int | None = None
    in_reply_to_account_id: int | None = None
    mentions: list[int] = msgspec.field(default_factory=list)
    """Accounts, not the author."""
    tags: list[str] = msgspec.field(default_factory=list)
    """In lower case, each once."""
    pushed: bool = True
    """False: a celebrity's; readers merge it when they read."""


class PostEdited(Event, subject="feed.edited", frozen=True, kw_only=True):
    """A post reads differently now."""

    post_id: int
    author_id: int
    mentions: list[int] = msgspec.field(default_factory=list)
    """Accounts that are mentioned now and were not before."""


class PostDeleted(Event, subject="feed.deleted", frozen=True, kw_only=True):
    """A post or a repost is gone, and with a post all its reposts."""

    post_id: int
    author_id: int
    visibility: Literal["public", "unlisted", "private", "direct"] = "public"
    reblog_of_id: int | None = None
    in_reply_to_id: int | None = None
    """What it answered, if it was counted there."""


class PostMarked(Event, subject="feed.marked", frozen=True, kw_only=True):
    """Somebody likes a post, or does no longer."""

    post_id: int
    author_id: int
    account_id: int
    kind: Literal["favourite"] = "favourite"
    on: bool


class FollowChanged(Event, subject="feed.followed", frozen=True, kw_only=True):
    """Somebody follows an account (`following`), wants to (`requested`), or does no longer."""

    follower_id: int
    followee_id: int
    following: bool
    requested: bool = False
