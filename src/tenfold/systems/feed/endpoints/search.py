"""Search, https://docs.joinmastodon.org/methods/search/ and https://docs.joinmastodon.org/methods/accounts/#search."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency

from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.platform.limits import Limit
from tenfold.systems.feed.actions import search
from tenfold.systems.feed.actions.context import Feed, account_of
from tenfold.systems.feed.endpoints import entities
from tenfold.systems.feed.endpoints.api import MastodonController, answer, page_of
from tenfold.systems.feed.endpoints.trends import TagHistoryView, offset_of, tag_views
from tenfold.systems.feed.types import Account, Post

#: Clients search with every letter that is typed.
SEARCHES = Limit(name="feed.search", rates={"anonymous": "60/minute", "free": "300/minute"})


class ResultsView(msgspec.Struct):
    """https://docs.joinmastodon.org/entities/Search/."""

    accounts: msgspec.Raw
    statuses: msgspec.Raw
    hashtags: list[TagHistoryView]


class SearchEndpoints(MastodonController):
    path = "/api"

    @get("/v2/search")
    async def search(
        self,
        request: Request[Any, Any, Any],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
        ip: NamedDependency[str],
    ) -> Response[bytes]:
        """People, posts and tags; or only what `type` names, which is then in pages by `offset`."""
        reader_id = await _reader(feed, principal, "read:search")
        await feed.limits.take(SEARCHES, principal, ip=ip)
        query = request.query_params
        question, kind, page = query.get("q", "").strip(), query.get("type", ""), page_of(request)
        offset = offset_of(request) if kind else 0
        found = await search.resolve(feed, reader_id, question)
        people: list[Account] = []
        posts: list[Post] = []
        tags: list[str] = []
        if found is not None:
            people = [found.account] if found.account else []
            posts = [found.post] if found.post else []
            tags = [found.tag] if found.tag else []
        elif question:
            if kind in ("", "accounts") and not question.startswith("#"):
                following = _is_set(query.get("following"))
                people = await search.find_people(
                    feed, reader_id, question, limit=page.limit, offset=offset, following=following
                )
            if kind in ("", "statuses"):
                author_id = read_id(query.get("account_id", ""))
                posts = await search.find_posts(feed, reader_id, question, page, offset=offset, author_id=author_id)
            if kind in ("", "hashtags") and not question.startswith("@"):
                tags = await search.find_tags(feed, question, limit=page.limit, offset=offset)
        results = ResultsView(
            accounts=msgspec.Raw(entities.accounts(feed, people)),
            statuses=msgspec.Raw(await entities.statuses(feed, posts, reader_id)),
            hashtags=await tag_views(feed, tags) if tags else [],
        )
        return answer(msgspec.json.encode(results))

    @get("/v1/accounts/search")
    async def people(
        self,
        request: Request[Any, Any, Any],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
        ip: NamedDependency[str],
    ) -> Response[bytes]:
        """People by parts of their names."""
        reader_id = await _reader(feed, principal, "read:accounts")
        await feed.limits.take(SEARCHES, principal, ip=ip)
        query = request.query_params
        found = await search.find_people(
            feed,
            reader_id,
            query.get("q", ""),
            limit=page_of(request, default=40, most=80).limit,
            offset=offset_of(request),
            following=_is_set(query.get("following")),
        )
        return answer(entities.accounts(feed, found))


async def _reader(feed: Feed, principal: Principal, scope: str) -> int | None:
    """Who asks: a stranger may, a client only with the scope."""
    return None if principal.account_id is None else (await account_of(feed, principal, scope)).id


def _is_set(value: str | None) -> bool:
    return value is not None and value.lower() in ("true", "1", "on")
