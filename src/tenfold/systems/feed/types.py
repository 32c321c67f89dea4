"""The words of the feed: accounts, posts, and what readers have to do with them. What clients see is in endpoints/."""

from datetime import date, datetime
from typing import Literal

import msgspec

from tenfold.platform.bus import Event

type Visibility = Literal["public", "unlisted", "private", "direct"]
#: What a reader can do with a post and undo again. A "mute" ends the notifications of its conversation.
type MarkKind = Literal["favourite", "bookmark", "reblog", "mute"]
type NoticeKind = Literal["mention", "status", "reblog", "follow", "follow_request", "favourite", "update"]
type MediaType = Literal["image", "gifv", "video", "audio", "unknown"]


class Field(msgspec.Struct, frozen=True):
    """A row of the table on a profile."""

    name: str
    value: str


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A person or a program, with counts that may be some seconds old."""

    id: int
    username: str
    display_name: str
    note: str
    #: Keys of stored pictures; "" is none.
    avatar: str
    header: str
    fields: list[Field]
    locked: bool
    bot: bool
    discoverable: bool
    default_visibility: Visibility
    default_sensitive: bool
    default_language: str | None
    created_at: datetime
    followers: int
    following: int
    statuses: int
    last_status_at: date | None
    #: Once a celebrity, always merged at reading: see rules/timelines.py.
    celebrity: bool


class Mention(msgspec.Struct, frozen=True):
    id: int
    username: str


class Application(msgspec.Struct, frozen=True):
    """The client that a post was written with."""

    name: str
    website: str | None = None


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment. `meta` is as the Mastodon API shows it: original and small sizes, focus, duration."""

    id: int
    type: MediaType
    #: Keys of stored objects.
    key: str
    preview_key: str
    meta: dict[str, dict[str, float | int | str]]
    blurhash: str | None
    description: str | None


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A post, or somebody's repost of one (`reblog_of_id`), with counts that may be some seconds old."""

    id: int
    author_id: int
    text: str
    spoiler_text: str
    visibility: Visibility
    sensitive: bool
    language: str | None
    in_reply_to_id: int | None
    in_reply_to_account_id: int | None
    conversation_id: int
    reblog_of_id: int | None
    mentions: list[Mention]
    tags: list[str]
    media: list[Media]
    application: Application | None
    created_at: datetime
    edited_at: datetime | None
    favourites: int
    reblogs: int
    replies: int


class Relations(msgspec.Struct, frozen=True, kw_only=True):
    """Whose posts a reader doesn't get to see, and whose are merged into their home at reading. Cached by reader."""

    #: In either direction: neither sees the other.
    blocks: frozenset[int] = frozenset()
    blocked: frozenset[int] = frozenset()
    #: Account ids, with the seconds since 1970 at which it ends; 0.0 is never.
    mutes: dict[int, float] = {}
    #: Those of the mutes whose notifications are hidden as well.
    silenced: frozenset[int] = frozenset()
    #: Left within the last day: a fan-out under way may still deliver what they wrote.
    unfollowed: frozenset[int] = frozenset()
    #: Followed, but without what they repost.
    quiet: frozenset[int] = frozenset()
    #: Followed celebrities.
    celebrities: frozenset[int] = frozenset()
    #: How many celebrities there were when this was read; another number makes it stale.
    celebrities_known: int = 0
    #: Hidden from home because a list is exclusive.
    listed: frozenset[int] = frozenset()


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader has marked of late. Posts below `floor` may be marked without being here: ask the database."""

    favourites: frozenset[int] = frozenset()
    bookmarks: frozenset[int] = frozenset()
    reblogs: frozenset[int] = frozenset()
    mutes: frozenset[int] = frozenset()
    #: Their own posts that they show at the top of their profile.
    pins: frozenset[int] = frozenset()
    floor: int = 0


class Authored(msgspec.Struct, frozen=True):
    """What an author wrote last that home timelines may show: packed ids, 8 bytes each, oldest first. Cached."""

    ids: bytes


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of a list that is ordered by id: below `max_id`, above `since_id`; `min_id`: those next above it."""

    max_id: int | None = None
    since_id: int | None = None
    min_id: int | None = None
    limit: int = 20


class FanOut(Event, subject="feed.fan-out", frozen=True, kw_only=True):
    """A big fan-out or a piece of one: deliver a post to the followers with ids from `first` up to `end`, not included.

    Without an `end` it is whole, and is to be cut.
    """

    post_id: int
    author_id: int
    #: Whom the post answers: only who follows both gets it.
    answers: int | None = None
    first: int = 0
    end: int | None = None
