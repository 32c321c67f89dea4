"""Notifications, https://docs.joinmastodon.org/methods/notifications/ and .../grouped_notifications/, markers and
direct conversations."""

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal, cast

import msgspec
from litestar import Request, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.systems.feed.actions import notifications
from tenfold.systems.feed.actions.context import Feed, account_of
from tenfold.systems.feed.actions.notifications import (
    KINDS,
    Conversation,
    GroupPage,
    GroupShown,
    NotificationNotFound,
    Shown,
)
from tenfold.systems.feed.endpoints import entities
from tenfold.systems.feed.endpoints.api import MastodonController, answer, links, many, page_of, read_body
from tenfold.systems.feed.rules.notifications import GROUPED, group_key
from tenfold.systems.feed.store.notifications import Marker, Timeline
from tenfold.systems.feed.types import Account, NoticeKind, Post

#: Kinds that one may name in a query, ours and those of other servers.
MOST_KINDS = 30
TIMELINES: tuple[Timeline, ...] = ("home", "notifications")
#: Notifications that are counted: by default, and at most.
COUNTED, MOST_COUNTED = 100, 1000

_encode = msgspec.json.encode


class NotificationView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """https://docs.joinmastodon.org/entities/Notification/."""

    id: str
    type: NoticeKind
    created_at: str
    group_key: str
    account: msgspec.Raw
    status: msgspec.Raw | None = None


class GroupView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """https://docs.joinmastodon.org/methods/grouped_notifications/#NotificationGroup."""

    group_key: str
    notifications_count: int
    type: NoticeKind
    #: Text, though the original sends a number: ours are beyond what JavaScript can count to.
    most_recent_notification_id: str
    page_min_id: str
    page_max_id: str
    latest_page_notification_at: str
    sample_account_ids: list[str]
    status_id: str | None = None


class GroupsView(msgspec.Struct, kw_only=True):
    """https://docs.joinmastodon.org/methods/grouped_notifications/#GroupedNotificationsResults."""

    accounts: list[msgspec.Raw]
    statuses: list[msgspec.Raw]
    notification_groups: list[GroupView]


class ConversationView(msgspec.Struct):
    """https://docs.joinmastodon.org/entities/Conversation/."""

    id: str
    unread: bool
    accounts: msgspec.Raw
    last_status: msgspec.Raw


class MarkerView(msgspec.Struct):
    """https://docs.joinmastodon.org/entities/Marker/."""

    last_read_id: str
    version: int
    updated_at: str


class LastRead(msgspec.Struct, frozen=True):
    last_read_id: Annotated[str, msgspec.Meta(max_length=20)]


class SetMarkers(msgspec.Struct, frozen=True):
    home: LastRead | None = None
    notifications: LastRead | None = None


class Waiting(msgspec.Struct, frozen=True):
    """Of what was set aside."""

    pending_requests_count: int = 0
    pending_notifications_count: int = 0


class Policy(msgspec.Struct, frozen=True):
    """https://docs.joinmastodon.org/entities/NotificationPolicy/. Nothing is set aside here: all are accepted."""

    for_not_following: Literal["accept"] = "accept"
    for_not_followers: Literal["accept"] = "accept"
    for_new_accounts: Literal["accept"] = "accept"
    for_private_mentions: Literal["accept"] = "accept"
    for_limited_accounts: Literal["accept"] = "accept"
    summary: Waiting = Waiting()


class NotificationEndpoints(MastodonController):
    path = "/api/v1/notifications"

    @get()
    async def read(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:notifications")
        page = page_of(request, default=40, most=80)
        found = await notifications.read(feed, me, kinds_of(request), _from(request), page)
        views = [await view(feed, me.id, shown) for shown in found.shown]
        return answer(_encode(views), headers=links(feed.url, request, found.ids))

    @get("/unread_count")
    async def count_unread(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:notifications")
        most = page_of(request, default=COUNTED, most=MOST_COUNTED).limit
        count = await notifications.count_unread(feed, me, kinds_of(request), _from(request), most)
        return answer(_encode({"count": count}))

    @post("/clear", status_code=200)
    async def clear(self, principal: NamedDependency[Principal], feed: NamedDependency[Feed]) -> Response[bytes]:
        await notifications.clear(feed, await account_of(feed, principal, "write:notifications"))
        return answer(b"{}")

    @get("/requests")
    async def requests(self, principal: NamedDependency[Principal], feed: NamedDependency[Feed]) -> Response[bytes]:
        """Nothing is set aside, so nothing waits."""
        await account_of(feed, principal, "read:notifications")
        return answer(b"[]")

    @get("/requests/merged")
    async def merged(self, principal: NamedDependency[Principal], feed: NamedDependency[Feed]) -> Response[bytes]:
        await account_of(feed, principal, "read:notifications")
        return answer(b'{"merged":true}')

    @get("/{notification_id:str}")
    async def find(
        self, notification_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:notifications")
        shown = await notifications.find(feed, me, _number(notification_id))
        return answer(_encode(await view(feed, me.id, shown)))

    @post("/{notification_id:str}/dismiss", status_code=200)
    async def dismiss(
        self, notification_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:notifications")
        await notifications.dismiss(feed, me, _number(notification_id))
        return answer(b"{}")


class GroupedNotificationEndpoints(MastodonController):
    path = "/api/v2/notifications"

    @get()
    async def read(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:notifications")
        page = page_of(request, default=40, most=80)
        asked = many(request, "grouped_types", MOST_KINDS)
        grouped = _known(asked) & GROUPED if asked else GROUPED
        found = await notifications.read_groups(feed, me, kinds_of(request), _from(request), page, grouped)
        return answer(_encode(await _groups(feed, me, found)), headers=links(feed.url, request, found.ids))

    @get("/unread_count")
    async def count_unread(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        """Counted one by one here too, where the original counts groups."""
        me = await account_of(feed, principal, "read:notifications")
        most = page_of(request, default=COUNTED, most=MOST_COUNTED).limit
        count = await notifications.count_unread(feed, me, kinds_of(request), _from(request), most)
        return answer(_encode({"count": count}))

    @get("/policy")
    async def policy(self, principal: NamedDependency[Principal], feed: NamedDependency[Feed]) -> Response[bytes]:
        await account_of(feed, principal, "read:notifications")
        return answer(_encode(Policy()))

    @patch("/policy")
    async def change_policy(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        """Anything but accepting can't be had, and says so."""
        await account_of(feed, principal, "write:notifications")
        return answer(_encode(msgspec.structs.replace(await read_body(request, Policy), summary=Waiting())))

    @get("/{key:str}")
    async def find(
        self, key: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:notifications")
        group = await notifications.find_group(feed, me, key)
        return answer(_encode(await _groups(feed, me, GroupPage([group], []))))

    @get("/{key:str}/accounts")
    async def people(
        self, key: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:notifications")
        group = await notifications.find_group(feed, me, key, notifications.MOST_PEOPLE)
        return answer(entities.accounts(feed, group.people))

    @post("/{key:str}/dismiss", status_code=200)
    async def dismiss(
        self, key: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:notifications")
        await notifications.dismiss_group(feed, me, key)
        return answer(b"{}")


class MarkerEndpoints(MastodonController):
    """https://docs.joinmastodon.org/methods/markers/."""

    path = "/api/v1/markers"

    @get()
    async def read(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:statuses")
        asked = many(request, "timeline", len(TIMELINES))
        return answer(_markers(await notifications.read_markers(feed, me, asked)))

    @post(status_code=200)
    async def set(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:statuses")
        wish = await read_body(request, SetMarkers)
        given = {timeline: cast("LastRead | None", getattr(wish, timeline)) for timeline in TIMELINES}
        read = [(timeline, read_id(last.last_read_id)) for timeline, last in given.items() if last is not None]
        if any(last is None for _, last in read):
            raise Invalid(fields={"last_read_id": "is the id of a post or a notification"})
        kept = [(timeline, last) for timeline, last in read if last is not None]
        return answer(_markers(await notifications.set_markers(feed, me, kept)))


class ConversationEndpoints(MastodonController):
    """https://docs.joinmastodon.org/methods/conversations/."""

    path = "/api/v1/conversations"

    @get()
    async def read(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:statuses")
        found = await notifications.conversations(feed, me, page_of(request))
        views = [await conversation_view(feed, me.id, each) for each in found]
        return answer(_encode(views), headers=links(feed.url, request, [each.last.id for each in found]))


async def view(feed: Feed, reader_id: int, shown: Shown) -> NotificationView:
    """A notification as its owner sees it."""
    notice = shown.notice
    return NotificationView(
        id=str(notice.id),
        type=notice.kind,
        created_at=entities.timestamp(notice.created_at),
        group_key=group_key(notice.kind, notice.id, notice.post_id),
        account=msgspec.Raw(entities.account(feed, shown.account)),
        status=None if shown.post is None else msgspec.Raw(await entities.status(feed, shown.post, reader_id)),
    )


async def conversation_view(feed: Feed, reader_id: int, conversation: Conversation) -> ConversationView:
    """A conversation as one of those in it sees it: unread as long as the others have had the last word."""
    return ConversationView(
        id=str(conversation.id),
        unread=conversation.last.author_id != reader_id,
        accounts=msgspec.Raw(entities.accounts(feed, conversation.people)),
        last_status=msgspec.Raw(await entities.status(feed, conversation.last, reader_id)),
    )


async def _groups(feed: Feed, me: Account, page: GroupPage) -> GroupsView:
    people = {account.id: account for group in page.groups for account in (*group.people, group.newest.account)}
    posts: dict[int, Post] = {}
    for group in page.groups:
        if group.newest.post is not None:
            posts[group.newest.post.id] = group.newest.post
    return GroupsView(
        accounts=[msgspec.Raw(entities.account(feed, account)) for account in people.values()],
        statuses=[msgspec.Raw(each) for each in await entities.each_status(feed, list(posts.values()), me.id)],
        notification_groups=[_group(group) for group in page.groups],
    )


def _group(group: GroupShown) -> GroupView:
    notice = group.newest.notice
    return GroupView(
        group_key=group.key,
        notifications_count=group.total,
        type=notice.kind,
        most_recent_notification_id=str(group.most_recent_id),
        page_min_id=str(group.oldest_id),
        page_max_id=str(notice.id),
        latest_page_notification_at=entities.timestamp(notice.created_at),
        sample_account_ids=[str(account.id) for account in group.people],
        status_id=None if notice.post_id is None else str(notice.post_id),
    )


def _markers(markers: Sequence[Marker]) -> bytes:
    return _encode({
        each.timeline: MarkerView(str(each.last_read_id), each.version, entities.timestamp(each.updated_at))
        for each in markers
    })  # fmt: skip


def kinds_of(request: Request[Any, Any, Any]) -> Collection[NoticeKind]:
    """What kinds a client asks for, of those that there are."""
    asked = many(request, "types", MOST_KINDS)
    kinds = _known(asked) if asked else frozenset(KINDS)
    return kinds - _known(many(request, "exclude_types", MOST_KINDS))


def _known(names: Collection[str]) -> frozenset[NoticeKind]:
    return frozenset(each for each in KINDS if each in names)


def _from(request: Request[Any, Any, Any]) -> int | None:
    """Whose notifications a client asks for; 0 is nobody's."""
    text = request.query_params.get("account_id")
    return None if text is None else read_id(text) or 0


def _number(text: str) -> int:
    number = read_id(text)
    if number is None:
        raise NotificationNotFound
    return number
