"""What can be set about the feed: TENFOLD_FEED_* or the table [feed]."""

from typing import Annotated

import msgspec

type Positive = Annotated[int, msgspec.Meta(ge=1)]


class FeedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    #: The address of the feed, with its scheme, as clients and links show it; None: the platform's address and /feed.
    url: str | None = None
    #: What the instance calls itself, says of itself, and whom to write to.
    title: str = "Tenfold"
    description: str = "A social network of one's own."
    contact: str = ""
    rules: tuple[str, ...] = ()
    #: Graphemes of a post, and what any link counts as.
    characters: Positive = 280
    url_characters: Positive = 23
    #: Pictures or films of a post.
    attachments: Positive = 4
    #: Followers from which on an author's posts aren't pushed into timelines any more, but merged when they are read.
    celebrity_followers: Positive = 1_000_000
    #: Ids that a home timeline keeps, and seconds after its last reading until it is forgotten (and rebuilt on return).
    timeline_length: Annotated[int, msgspec.Meta(ge=40, le=4000)] = 800
    timeline_seconds: Positive = 3600
    #: Followers that one step of a fan-out delivers to. Bigger audiences go in pieces, behind everybody's small ones.
    fan_out_piece: Positive = 5000
    #: Accounts that one may follow, and lists that one may keep.
    follows: Positive = 7500
    lists: Positive = 100
    #: Posts and accounts that one process keeps in memory (entries; bytes), for how long (seconds) before it asks
    #: Valkey again, and how long Valkey keeps them.
    memory_entries: Positive = 100_000
    memory_bytes: Positive = 256 * 1024 * 1024
    memory_ttl: float = 30.0
    cache_ttl: float = 86_400.0
    #: Bytes of one picture, and of one film or sound.
    image_bytes: Positive = 16 * 1024 * 1024
    video_bytes: Positive = 99 * 1024 * 1024
    #: Pixels of a picture, so that a small file can't unfold into a huge one.
    image_pixels: Positive = 33_177_600
    #: Hours after which an old use of a tag counts half.
    trend_half_life: float = 4.0
    #: Streams that one account may have open in a process, and all together.
    streams_per_account: Positive = 10
    streams: Positive = 10_000
