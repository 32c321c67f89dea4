"""Statuses, https://docs.joinmastodon.org/methods/statuses/."""

from typing import Any, Literal

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.platform.limits import Limit, Limits
from tenfold.systems.feed.actions import marks, posts
from tenfold.systems.feed.actions.context import Feed, account_of, find_account, find_visible, visible
from tenfold.systems.feed.actions.posts import WritePost
from tenfold.systems.feed.endpoints import entities
from tenfold.systems.feed.endpoints.api import MastodonController, answer, links, many, page_of, read_body, read_ids
from tenfold.systems.feed.errors import PostNotFound
from tenfold.systems.feed.rules import text
from tenfold.systems.feed.types import Application, MarkKind, Media, Visibility

#: Posts and reposts of one account.
WRITING = Limit(name="feed.post", rates={"anonymous": "300/hour", "plus": "3000/hour", "enterprise": "100000/hour"})
MOST_ASKED = 40


class Reblog(msgspec.Struct):
    visibility: Visibility | None = None


class _Edit(msgspec.Struct, kw_only=True):
    """A version of a status, https://docs.joinmastodon.org/entities/StatusEdit/."""

    account: msgspec.Raw
    content: str
    spoiler_text: str
    sensitive: bool
    created_at: str
    media_attachments: list[entities.MediaView]
    emojis: list[Any] = []
    poll: None = None


class _Source(msgspec.Struct):
    id: str
    text: str
    spoiler_text: str


def id_of(text: str) -> int:
    """The id of a path. Raises PostNotFound for what can't be one."""
    number = read_id(text)
    if number is None:
        raise PostNotFound
    return number


class StatusEndpoints(MastodonController):
    path = "/api/v1/statuses"

    @post()
    async def publish(
        self,
        request: Request[Any, Any, Any],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
        limits: NamedDependency[Limits],
    ) -> Response[bytes]:
        """Post something."""
        me = await account_of(feed, principal, "write:statuses")
        await limits.take(WRITING, principal)
        made = await posts.publish(
            feed,
            me,
            await read_body(request, WritePost),
            application=_application(principal),
            idempotency_key=request.headers.get("idempotency-key"),
        )
        return answer(await entities.status(feed, made, me.id))

    @get()
    async def read_many(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        """Several at once, those that are there."""
        found = await visible(feed, read_ids(many(request, "id", MOST_ASKED)), principal.account_id)
        return answer(await entities.statuses(feed, found, principal.account_id))

    @get("/{status_id:str}")
    async def read(
        self, status_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        found = await find_visible(feed, id_of(status_id), principal.account_id)
        return answer(await entities.status(feed, found, principal.account_id))

    @put("/{status_id:str}")
    async def edit(
        self,
        request: Request[Any, Any, Any],
        status_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
        limits: NamedDependency[Limits],
    ) -> Response[bytes]:
        """Change a status. What isn't sent is gone."""
        me = await account_of(feed, principal, "write:statuses")
        await limits.take(WRITING, principal)
        changed = await posts.edit(feed, me, id_of(status_id), await read_body(request, WritePost))
        return answer(await entities.status(feed, changed, me.id))

    @delete("/{status_id:str}", status_code=200)
    async def delete(
        self,
        request: Request[Any, Any, Any],
        status_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        """Remove a status. Answers what it was, with its source, so that clients can offer to write it anew."""
        me = await account_of(feed, principal, "write:statuses")
        with_media = request.query_params.get("delete_media", "").lower() in ("true", "1")
        before = await posts.delete(feed, me, id_of(status_id), with_media=with_media)
        shown = await entities.status(feed, before, me.id)
        return answer(shown[:-1] + b',"text":' + msgspec.json.encode(before.text) + b"}")

    @get("/{status_id:str}/context")
    async def context(
        self, status_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        """What it answers, and what answers it."""
        reader = principal.account_id
        found = await posts.context(feed, id_of(status_id), reader)
        before = await entities.statuses(feed, found.ancestors, reader)
        after = await entities.statuses(feed, found.descendants, reader)
        return answer(b'{"ancestors":' + before + b',"descendants":' + after + b"}")

    @get("/{status_id:str}/history")
    async def history(
        self, status_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        """All that it has said, the first version first."""
        now, before = await posts.history(feed, id_of(status_id), principal.account_id)
        author = msgspec.Raw(entities.account(feed, await find_account(feed, now.author_id)))
        versions = [
            _Edit(
                account=author,
                content=text.to_html(each.text, now.mentions, feed.url),
                spoiler_text=each.spoiler_text,
                sensitive=each.sensitive,
                created_at=entities.timestamp(each.created_at),
                media_attachments=[entities.media(feed, msgspec.convert(one, Media)) for one in each.media],
            )
            for each in before
        ]
        versions.append(
            _Edit(
                account=author,
                content=text.to_html(now.text, now.mentions, feed.url),
                spoiler_text=now.spoiler_text,
                sensitive=now.sensitive,
                created_at=entities.timestamp(now.edited_at or now.created_at),
                media_attachments=[entities.media(feed, each) for each in now.media],
            )
        )
        return answer(msgspec.json.encode(versions))

    @get("/{status_id:str}/source")
    async def source(
        self, status_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        """What its author wrote, for editing."""
        me = await account_of(feed, principal, "read:statuses")
        found = await posts.own(feed, me, id_of(status_id))
        return answer(msgspec.json.encode(_Source(str(found.id), found.text, found.spoiler_text)))

    @get("/{status_id:str}/card")
    async def card(
        self, status_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        """Previews of links are not made, since that would have the server visit what strangers name."""
        await find_visible(feed, id_of(status_id), principal.account_id)
        return answer(b"{}")

    @post("/{status_id:str}/reblog", status_code=200)
    async def reblog(
        self,
        request: Request[Any, Any, Any],
        status_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
        limits: NamedDependency[Limits],
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:statuses")
        await limits.take(WRITING, principal)
        wish = await read_body(request, Reblog)
        made = await posts.repost(feed, me, id_of(status_id), wish.visibility)
        return answer(await entities.status(feed, made, me.id))

    @post("/{status_id:str}/unreblog", status_code=200)
    async def unreblog(
        self, status_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:statuses")
        return answer(await entities.status(feed, await posts.unrepost(feed, me, id_of(status_id)), me.id))

    @post("/{status_id:str}/{verb:str}", status_code=200)
    async def mark(
        self,
        status_id: FromPath[str],
        verb: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        """favourite, bookmark, mute, pin, and un- each of them."""
        on = not verb.startswith("un")
        kind = verb if on else verb[2:]
        scope = _SCOPES.get(kind)
        if scope is None:
            raise PostNotFound
        me = await account_of(feed, principal, scope)
        if kind == "pin":
            changed = await posts.pin(feed, me, id_of(status_id), pinned=on)
        else:
            changed = await marks.mark(feed, me, id_of(status_id), _KINDS[kind], on=on)
        shown = await entities.status(feed, changed, me.id)
        return answer(shown)

    @get("/{status_id:str}/favourited_by")
    async def favourited_by(
        self,
        request: Request[Any, Any, Any],
        status_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        return await self._markers(request, status_id, "favourite", principal, feed)

    @get("/{status_id:str}/reblogged_by")
    async def reblogged_by(
        self,
        request: Request[Any, Any, Any],
        status_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        return await self._markers(request, status_id, "reblog", principal, feed)

    async def _markers(
        self,
        request: Request[Any, Any, Any],
        status_id: str,
        kind: Literal["favourite", "reblog"],
        principal: Principal,
        feed: Feed,
    ) -> Response[bytes]:
        page = page_of(request, default=40, most=80)
        found = await marks.list_markers(feed, id_of(status_id), kind, principal.account_id, page)
        return answer(entities.accounts(feed, found.accounts), headers=links(feed.url, request, found.ids))


_SCOPES = {
    "favourite": "write:favourites",
    "bookmark": "write:bookmarks",
    "mute": "write:mutes",
    "pin": "write:accounts",
}
_KINDS: dict[str, MarkKind] = {"favourite": "favourite", "bookmark": "bookmark", "mute": "mute"}


class MarkedEndpoints(MastodonController):
    """What one has marked."""

    path = "/api/v1"

    @get("/favourites")
    async def favourites(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        return await self._marked(request, principal, feed, "favourite", "read:favourites")

    @get("/bookmarks")
    async def bookmarks(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        return await self._marked(request, principal, feed, "bookmark", "read:bookmarks")

    async def _marked(
        self, request: Request[Any, Any, Any], principal: Principal, feed: Feed, kind: MarkKind, scope: str
    ) -> Response[bytes]:
        me = await account_of(feed, principal, scope)
        found = await marks.list_marked(feed, me, kind, page_of(request))
        body = await entities.statuses(feed, found.posts, me.id)
        return answer(body, headers=links(feed.url, request, found.ids))


def _application(principal: Principal) -> Application | None:
    """The client that posts, if it has said its name."""
    return Application(principal.application_name) if principal.application_name else None
