"""Trends and tags, https://docs.joinmastodon.org/methods/trends/ and https://docs.joinmastodon.org/entities/Tag/."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tenfold.platform.errors import NotFound
from tenfold.platform.identity import Principal
from tenfold.systems.feed.actions import trends
from tenfold.systems.feed.actions.context import Feed
from tenfold.systems.feed.endpoints import entities
from tenfold.systems.feed.endpoints.api import MastodonController, answer, range_of
from tenfold.systems.feed.rules.text import is_tag


class UseView(msgspec.Struct):
    """A day of a tag. All are text, as clients expect it; the day is in seconds since 1970."""

    day: str
    uses: str
    accounts: str


class TagHistoryView(msgspec.Struct):
    """https://docs.joinmastodon.org/entities/Tag/."""

    id: str
    name: str
    url: str
    history: list[UseView]
    following: bool = False
    featuring: bool = False


async def tag_views(feed: Feed, tags: Sequence[str]) -> list[TagHistoryView]:
    """Tags with their use on the last seven days."""
    histories = await trends.histories(feed, tags)
    return [
        TagHistoryView(
            id=tag,
            name=tag,
            url=f"{feed.url}/tags/{quote(tag)}",
            history=[
                UseView(str(int(day.start.timestamp())), str(day.uses), str(day.people)) for day in histories[tag]
            ],
        )
        for tag in tags
    ]


def offset_of(request: Request[Any, Any, Any]) -> int:
    """How many a client has seen already; what is no number is none."""
    offset = request.query_params.get("offset", "")
    return int(offset) if offset.isascii() and offset.isdecimal() and len(offset) < 6 else 0


class TrendEndpoints(MastodonController):
    path = "/api/v1"

    @get(["/trends", "/trends/tags"])
    async def trending_tags(self, request: Request[Any, Any, Any], feed: NamedDependency[Feed]) -> Response[bytes]:
        """Tags that more people use than usual."""
        limit = range_of(request.query_params, default=10, most=20).limit
        found = await trends.rising_tags(feed, limit=limit, offset=offset_of(request))
        return answer(msgspec.json.encode(await tag_views(feed, found)))

    @get("/trends/statuses")
    async def rising_statuses(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        """Public posts that are liked and passed on right now."""
        limit = range_of(request.query_params).limit
        found = await trends.rising_posts(feed, principal.account_id, limit=limit, offset=offset_of(request))
        return answer(await entities.statuses(feed, found, principal.account_id))

    @get("/trends/links")
    async def rising_links(self) -> Response[bytes]:
        """Links have no previews here, so none is a trend."""
        return answer(b"[]")

    @get("/tags/{name:str}")
    async def tag(self, name: FromPath[str], feed: NamedDependency[Feed]) -> Response[bytes]:
        """A tag and its use, of whatever could be one. Raises NotFound for what can't."""
        if not is_tag(name):
            raise NotFound
        (view,) = await tag_views(feed, [name.lower()])
        return answer(msgspec.json.encode(view))
