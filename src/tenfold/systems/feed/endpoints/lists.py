"""Lists, https://docs.joinmastodon.org/methods/lists/."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.systems.feed.actions import lists
from tenfold.systems.feed.actions.context import Feed, account_of
from tenfold.systems.feed.actions.lists import ChangeList, MakeList
from tenfold.systems.feed.endpoints.api import MastodonController, answer, page_of, read_body, read_ids
from tenfold.systems.feed.endpoints.relations import MOST_PEOPLE, PEOPLE, number_of, people
from tenfold.systems.feed.errors import AccountNotFound, ListNotFound


class Members(msgspec.Struct, frozen=True):
    account_ids: list[str | int]


class ListEndpoints(MastodonController):
    path = "/api/v1/lists"

    @get()
    async def lists(self, principal: NamedDependency[Principal], feed: NamedDependency[Feed]) -> Response[bytes]:
        me = await account_of(feed, principal, "read:lists")
        return answer(msgspec.json.encode(await lists.list_lists(feed, me)))

    @post()
    async def make(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:lists")
        return answer(msgspec.json.encode(await lists.make(feed, me, await read_body(request, MakeList))))

    @get("/{list_id:str}")
    async def read(
        self, list_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:lists")
        return answer(msgspec.json.encode(await lists.read(feed, me, _number_of(list_id))))

    @put("/{list_id:str}")
    async def change(
        self,
        request: Request[Any, Any, Any],
        list_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:lists")
        wish = await read_body(request, ChangeList)
        return answer(msgspec.json.encode(await lists.change(feed, me, _number_of(list_id), wish)))

    @delete("/{list_id:str}", status_code=200)
    async def remove(
        self, list_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:lists")
        await lists.delete(feed, me, _number_of(list_id))
        return answer(b"{}")

    @get("/{list_id:str}/accounts")
    async def members(
        self,
        request: Request[Any, Any, Any],
        list_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        """Who is on a list; with limit=0 all at once."""
        me = await account_of(feed, principal, "read:lists")
        all_of_them = request.query_params.get("limit") == "0"
        page = None if all_of_them else page_of(request, default=PEOPLE, most=MOST_PEOPLE)
        return people(feed, request, await lists.list_members(feed, me, _number_of(list_id), page))

    @post("/{list_id:str}/accounts")
    async def add(
        self,
        request: Request[Any, Any, Any],
        list_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:lists")
        await lists.add_members(feed, me, _number_of(list_id), await _members(request))
        return answer(b"{}")

    @delete("/{list_id:str}/accounts", status_code=200)
    async def take_off(
        self,
        request: Request[Any, Any, Any],
        list_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:lists")
        await lists.delete_members(feed, me, _number_of(list_id), await _members(request))
        return answer(b"{}")


class ListsWithEndpoints(MastodonController):
    path = "/api/v1/accounts"

    @get("/{account_id:str}/lists")
    async def lists_with(
        self, account_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:lists")
        return answer(msgspec.json.encode(await lists.list_lists_with(feed, me, number_of(account_id))))


def _number_of(list_id: str) -> int:
    number = read_id(list_id)
    if number is None:
        raise ListNotFound
    return number


async def _members(request: Request[Any, Any, Any]) -> list[int]:
    """The accounts that a body or query names. Raises Invalid, and AccountNotFound for what can't be an id."""
    texts = [str(each) for each in (await read_body(request, Members)).account_ids]
    ids = read_ids(texts)
    if len(ids) != len(texts):
        raise AccountNotFound
    return ids
