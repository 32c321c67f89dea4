"""Timelines, https://docs.joinmastodon.org/methods/timelines/. Home has a way of its own past the framework."""

from collections.abc import Awaitable
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import Receive, Send

from tenfold.platform.errors import TenfoldError
from tenfold.platform.http import Headers
from tenfold.platform.identity import Identity, Principal
from tenfold.platform.identity.rules import read_id
from tenfold.systems.feed.actions import timelines
from tenfold.systems.feed.actions.context import Feed, account_of
from tenfold.systems.feed.endpoints import entities
from tenfold.systems.feed.endpoints.api import (
    Complaint,
    MastodonController,
    answer,
    link_header,
    links,
    many,
    page_of,
    range_of,
)
from tenfold.systems.feed.errors import ListNotFound
from tenfold.systems.feed.rules.text import is_tag

#: Further tags in one timeline.
MOST_TAGS = 4


class TimelineEndpoints(MastodonController):
    path = "/api/v1/timelines"

    @get("/public")
    async def public(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        """What everybody posts. All of it is local, so `remote` shows nothing."""
        query = request.query_params
        if _is_set(query.get("remote")):
            return answer(b"[]")
        found = await timelines.read_public(
            feed, principal.account_id, page_of(request), only_media=_is_set(query.get("only_media"))
        )
        body = await entities.statuses(feed, found, principal.account_id)
        return answer(body, headers=links(feed.url, request, [post.id for post in found]))

    @get("/tag/{tag:str}")
    async def tag(
        self,
        request: Request[Any, Any, Any],
        tag: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        """Public posts under a tag."""
        others = {name: [each.lower() for each in many(request, name, MOST_TAGS)] for name in ("any", "all", "none")}
        if not all(map(is_tag, [tag, *others["any"], *others["all"], *others["none"]])):
            return answer(b"[]")  # nothing stands under what can't be a tag
        tags = timelines.Tags(tag=tag.lower(), any_of=others["any"], all_of=others["all"], none_of=others["none"])
        only_media = _is_set(request.query_params.get("only_media"))
        found = await timelines.read_tag(feed, principal.account_id, tags, page_of(request), only_media=only_media)
        body = await entities.statuses(feed, found, principal.account_id)
        return answer(body, headers=links(feed.url, request, [post.id for post in found]))

    @get("/list/{list_id:str}")
    async def list_(
        self,
        request: Request[Any, Any, Any],
        list_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        """What the members of a list post."""
        me = await account_of(feed, principal, "read:lists")
        number = read_id(list_id)
        if number is None:
            raise ListNotFound
        found = await timelines.read_list(feed, me.id, number, page_of(request))
        body = await entities.statuses(feed, found, me.id)
        return answer(body, headers=links(feed.url, request, [post.id for post in found]))


def _is_set(value: str | None) -> bool:
    return value is not None and value.lower() in ("true", "1", "on")


#: Pages of other sites may read it, as the rest of the API.
_SENT = (
    (b"content-type", b"application/json"),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),
)


_NEWEST = range_of({})


class Home:
    """The front of the feed: `GET /api/v1/timelines/home`, which is most of all requests.

    From request to answer it takes one round trip when all is warm: to Valkey, for the timeline.
    """

    PATH = "/api/v1/timelines/home"

    def __init__(self, feed: Feed, identity: Identity) -> None:
        self.reads = 0
        self._feed = feed
        self._identity = identity
        self._address = f"{feed.url}{self.PATH}"

    def __call__(
        self, method: str, path: str, scope: Any, headers: Headers, receive: Receive, send: Send
    ) -> Awaitable[None] | None:
        """Answer the home timeline; everything else is the framework's."""
        return self._home(scope, send) if path == self.PATH and method == "GET" else None

    async def _home(self, scope: Any, send: Any) -> None:
        status, extra = 200, dict[str, str]()
        try:
            principal = await self._identity.authenticate(scope)
            me = await account_of(self._feed, principal, "read:statuses")
            query = scope["query_string"]
            asked = dict(parse_qsl(query.decode("latin-1"))) if query else {}
            page = range_of(asked) if asked else _NEWEST
            found = await timelines.read_home(self._feed, me.id, page)
            body = await entities.statuses(self._feed, found, me.id)
            extra = link_header(self._address, list(asked.items()), [post.id for post in found])
            self.reads += 1
        except TenfoldError as error:
            status, extra = error.status, error.headers
            body = msgspec.json.encode(Complaint(error=error.detail, error_description=error.code))
        sent = [*_SENT, (b"content-length", b"%d" % len(body))]
        sent += [(name.encode(), value.encode("latin-1")) for name, value in extra.items()]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body, "more_body": False})
