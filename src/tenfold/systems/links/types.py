"""The words of the link shortener: what is kept, what is asked, what is answered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

type Status = Literal[301, 302, 303, 307, 308]
type State = Literal["active", "expired", "disabled", "exhausted"]
type Period = Literal["24h", "7d", "30d", "90d"]

Url = Annotated[str, Meta(min_length=1, max_length=8192, description="Where the link leads: http or https.")]
Alias = Annotated[str, Meta(min_length=3, max_length=64, pattern="^[A-Za-z0-9_-]+$")]
#: One line of text. Control characters are no part of one, and PostgreSQL refuses the first of them.
LINE = r"^[^\x00-\x1f\x7f]*$"
Title = Annotated[str, Meta(max_length=200, pattern=LINE)]
#: A semicolon stands between tags in CSV.
Tag = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[^\x00-\x1f\x7f;]+$")]
Tags = Annotated[list[Tag], Meta(max_length=20)]
Password = Annotated[str, Meta(min_length=1, max_length=128)]
MaxClicks = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Ttl = Annotated[int, Meta(ge=1, le=100 * 366 * 86_400, description="Seconds until the link ends.")]


class ShortenLink(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Make a short link. Without an alias the code is ours to choose."""

    url: Url
    alias: Alias | None = None
    expires_at: datetime | None = None
    ttl: Ttl | None = None
    title: Title | None = None
    tags: Tags = []
    status: Status = 302
    password: Password | None = None
    max_clicks: MaxClicks | None = None
    #: Answer with the owner's plain link to the same address, where there is one.
    reuse: bool = False


class ChangeLink(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Change a link. What is absent stays; null clears."""

    url: Url | UnsetType = UNSET
    title: Title | UnsetType | None = UNSET
    tags: Tags | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    password: Password | UnsetType | None = UNSET
    max_clicks: MaxClicks | UnsetType | None = UNSET


class StoredLink(msgspec.Struct, kw_only=True):
    """A row of links.link."""

    code: str
    id: int
    owner_id: int | None
    url: str
    title: str | None = None
    tags: Sequence[str] = ()
    status: Any = 302
    expires_at: datetime | None = None
    password: str | None = None
    max_clicks: int | None = None
    clicks_left: int | None = None
    enabled: bool = True


class Link(msgspec.Struct, kw_only=True):
    """A link as its owner sees it."""

    code: str
    short_url: str
    url: str
    title: str | None
    tags: list[str]
    status: Status
    created_at: datetime
    expires_at: datetime | None
    max_clicks: int | None
    clicks_left: int | None
    has_password: bool
    enabled: bool
    state: State
    anonymous: bool


class ListedLink(Link, kw_only=True):
    """A link in a list, with its clicks by people: all, and those of the last 14 days, oldest first."""

    clicks: int
    series: list[int]


class LinkPage(msgspec.Struct):
    items: list[ListedLink]
    next: str | None


class BulkShorten(msgspec.Struct, forbid_unknown_fields=True):
    links: Annotated[list[Any], Meta(min_length=1, description="Each is a ShortenLink; a bad one fails alone.")]


class Refusal(msgspec.Struct, omit_defaults=True):
    """Why one row of many failed: the problem it would have been alone."""

    code: str
    status: int
    title: str
    detail: str
    fields: dict[str, str] = {}


class BulkResult(msgspec.Struct):
    link: Link | None = None
    error: Refusal | None = None


class BulkResults(msgspec.Struct):
    results: list[BulkResult]


class Count(msgspec.Struct):
    """Clicks by people that share a value: a country, a referrer. "" is unknown, or direct; "~" is all others."""

    value: str
    clicks: int


class Totals(msgspec.Struct):
    """Clicks are people's; bots stand apart. A visitor is counted once a day and link."""

    clicks: int = 0
    visitors: int = 0
    bots: int = 0


class Bucket(msgspec.Struct):
    at: datetime
    clicks: int = 0
    visitors: int = 0
    bots: int = 0


class Stats(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """The clicks of one link in a period."""

    period: Period
    interval: Literal["hour", "day"]
    from_: datetime
    to: datetime
    totals: Totals
    series: list[Bucket]
    countries: list[Count]
    referrers: list[Count]
    devices: list[Count]
    browsers: list[Count]
    systems: list[Count]


class Overview(msgspec.Struct):
    """All links of an account: how many, and the clicks of the last 24 hours."""

    links: int
    clicks: int
    visitors: int
    bots: int
    series: list[Bucket]


class LiveClick(msgspec.Struct):
    """A click as the live feed shows it."""

    at: datetime
    country: str
    referrer: str
    device: str
    browser: str
    system: str
    bot: bool


class Target(msgspec.Struct, frozen=True):
    """What a redirect must know of a link; cached in memory and in Valkey."""

    code: str
    url: str
    status: int
    owner_id: int
    """0: made without an account."""
    expires: float
    """Seconds since 1970; infinity: never."""
    enabled: bool
    guarded: bool
    """A password or a number of clicks stands before it: the database must be asked."""
