"""Notifications: who is told of what, and reading it. Also how far somebody has read, and direct conversations."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec

from tenfold.contracts.feed import FollowChanged, PostDeleted, PostEdited, PostMarked, PostPublished
from tenfold.platform.db import Tx
from tenfold.platform.errors import NotFound
from tenfold.systems.feed.actions.context import Feed, marks_of, posts_of, relations_of, visible
from tenfold.systems.feed.rules import notifications as rules
from tenfold.systems.feed.rules.notifications import Span
from tenfold.systems.feed.store import notifications
from tenfold.systems.feed.store.notifications import Asked, Group, Marker, NewNotice, Notice, Pair, Timeline, Told
from tenfold.systems.feed.types import Account, NoticeKind, Post, Range

KINDS: tuple[NoticeKind, ...] = ("mention", "status", "reblog", "follow", "follow_request", "favourite", "update")
#: Notifications that are written at once, and reposters who hear of an edit.
CHUNK, MOST_REPOSTERS = 1000, 1000
#: Notifications that are looked at for a group of a page, and people that a group names.
ROWS_PER_GROUP, SAMPLE = 4, 8
#: Of a group, people that are named when one asks who they are.
MOST_PEOPLE = 80
#: Posts that are looked at for a conversation of a page.
POSTS_PER_CONVERSATION = 5


class NotificationNotFound(NotFound):
    """Record not found: there is no such notification."""


class Shown(NamedTuple):
    """A notification with what it is about."""

    notice: Notice
    account: Account
    post: Post | None


class Page(NamedTuple):
    """Notifications, and the ids that the next page goes on from."""

    shown: Sequence[Shown]
    ids: Sequence[int]


# --- reading --------------------------------------------------------------------------------------------------------


async def read(feed: Feed, account: Account, kinds: Collection[NoticeKind], from_id: int | None, page: Range) -> Page:
    """A page of notifications, newest first, without those whose author or post is gone or hidden."""
    asked = await _asked(feed, account, kinds, from_id)
    async with feed.db.read(fresh=True) as tx:
        notices = await notifications.list_notices(tx, account.id, asked, page)
    return Page(await _shown(feed, account.id, notices), [each.id for each in notices])


async def find(feed: Feed, account: Account, id: int) -> Shown:
    """Raises NotificationNotFound."""
    found = await find_many(feed, account.id, [id])
    if not found:
        raise NotificationNotFound
    return found[0]


async def find_many(feed: Feed, account_id: int, ids: Sequence[int]) -> list[Shown]:
    """Those of these notifications that are there and may be seen, oldest first."""
    async with feed.db.read(fresh=True) as tx:
        notices = await notifications.list_notices_by_id(tx, account_id, ids)
    hidden = rules.silenced(await relations_of(feed, account_id))
    return await _shown(feed, account_id, [each for each in notices if each.from_id not in hidden])


async def count_unread(
    feed: Feed, account: Account, kinds: Collection[NoticeKind], from_id: int | None, most: int
) -> int:
    """How many came since the account last said how far it has read, counted no further than `most`."""
    asked = await _asked(feed, account, kinds, from_id)
    async with feed.db.read(fresh=True) as tx:
        return await notifications.count_unread(tx, account.id, asked, most)


async def _asked(feed: Feed, account: Account, kinds: Collection[NoticeKind], from_id: int | None) -> Asked:
    return Asked(kinds=kinds, from_id=from_id, hidden=rules.silenced(await relations_of(feed, account.id)))


async def _shown(feed: Feed, reader_id: int, notices: Sequence[Notice]) -> list[Shown]:
    accounts = await feed.accounts.get_many({each.from_id for each in notices})
    about = list({each.post_id for each in notices if each.post_id is not None})
    posts = {post.id: post for post in await visible(feed, about, reader_id)}
    return [
        Shown(each, accounts[each.from_id], None if each.post_id is None else posts[each.post_id])
        for each in notices
        if each.from_id in accounts and (each.post_id is None or each.post_id in posts)
    ]


# --- groups ---------------------------------------------------------------------------------------------------------


class GroupShown(NamedTuple):
    """Notifications that are shown as one: the newest and the oldest of those on the page, and all of the group."""

    key: str
    newest: Shown
    oldest_id: int
    total: int
    most_recent_id: int
    people: Sequence[Account]


class GroupPage(NamedTuple):
    groups: Sequence[GroupShown]
    ids: Sequence[int]


async def read_groups(
    feed: Feed,
    account: Account,
    kinds: Collection[NoticeKind],
    from_id: int | None,
    page: Range,
    grouped: Collection[NoticeKind],
) -> GroupPage:
    """A page of groups, the one with the newest notification first. What isn't to be grouped stands alone."""
    rows = msgspec.structs.replace(page, limit=page.limit * ROWS_PER_GROUP)
    found = await read(feed, account, kinds, from_id, rows)
    ascending = page.min_id is not None
    spans: dict[str, list[Shown]] = {}
    taken: list[int] = []
    for shown in reversed(found.shown) if ascending else found.shown:
        key = _key(shown.notice, grouped)
        if key not in spans and len(spans) == page.limit:
            break
        spans.setdefault(key, []).append(shown)
        taken.append(shown.notice.id)
    else:
        taken = list(found.ids)  # all were looked at
    groups = await _groups(feed, account, spans)
    groups.sort(key=lambda group: group.newest.notice.id, reverse=True)
    return GroupPage(groups, taken)


async def find_group(feed: Feed, account: Account, key: str, people: int = SAMPLE) -> GroupShown:
    """Raises NotificationNotFound."""
    of = rules.read_group_key(key)
    if of is None:
        raise NotificationNotFound
    if isinstance(of, int):
        shown = await find(feed, account, of)
    else:
        page = Range(max_id=of.high, since_id=of.low - 1, limit=ROWS_PER_GROUP)
        found = await read(feed, account, [of.kind], None, page)
        about = [each for each in found.shown if each.notice.post_id == of.post_id]
        if not about:
            raise NotificationNotFound
        shown = about[0]
    return (await _groups(feed, account, {key: [shown]}, people))[0]


async def _groups(
    feed: Feed, account: Account, spans: dict[str, list[Shown]], sample: int = SAMPLE
) -> list[GroupShown]:
    hidden = rules.silenced(await relations_of(feed, account.id))
    wanted = [_span(key, some[0].notice) for key, some in spans.items()]
    async with feed.db.read(fresh=True) as tx:
        groups: list[Group] = await notifications.list_groups(tx, account.id, wanted, hidden, sample)
    people = await feed.accounts.get_many({each for group in groups for each in group.from_ids})
    return [
        GroupShown(
            key,
            max(some, key=lambda shown: shown.notice.id),
            min(shown.notice.id for shown in some),
            max(group.count, 1),
            max(group.newest, some[0].notice.id),
            [people[each] for each in dict.fromkeys(group.from_ids) if each in people],
        )
        for (key, some), group in zip(spans.items(), groups, strict=True)
    ]


def _key(notice: Notice, grouped: Collection[NoticeKind] = rules.GROUPED) -> str:
    if notice.kind not in grouped:
        return f"ungrouped-{notice.id}"
    return rules.group_key(notice.kind, notice.id, notice.post_id)


def _span(key: str, notice: Notice) -> Span:
    of = rules.read_group_key(key)
    return of if isinstance(of, Span) else Span(notice.kind, notice.post_id, notice.id, notice.id + 1)


# --- clearing, and how far one has read -------------------------------------------------------------------------------


async def clear(feed: Feed, account: Account) -> None:
    """Remove all notifications."""
    async with feed.db.transaction() as tx:
        await notifications.delete_notices(tx, account.id)


async def dismiss(feed: Feed, account: Account, id: int) -> None:
    """Remove one. Raises NotificationNotFound."""
    async with feed.db.transaction() as tx:
        if not await notifications.delete_notice(tx, account.id, id):
            raise NotificationNotFound


async def dismiss_group(feed: Feed, account: Account, key: str) -> None:
    """Remove a group. Raises NotificationNotFound for what is no key of one."""
    of = rules.read_group_key(key)
    if of is None:
        raise NotificationNotFound
    if isinstance(of, int):
        await dismiss(feed, account, of)
    else:
        async with feed.db.transaction() as tx:
            await notifications.delete_span(tx, account.id, of)


async def read_markers(feed: Feed, account: Account, timelines: Collection[str]) -> list[Marker]:
    async with feed.db.read(fresh=True) as tx:
        return await notifications.list_markers(tx, account.id, timelines)


async def set_markers(feed: Feed, account: Account, read: Iterable[tuple[Timeline, int]]) -> list[Marker]:
    """Note how far an account has read timelines."""
    async with feed.db.transaction() as tx:
        return [await notifications.set_marker(tx, account.id, timeline, last) for timeline, last in read]


# --- direct conversations -------------------------------------------------------------------------------------------


class Conversation(NamedTuple):
    """A thread of direct posts, by its last one, and who else is in it."""

    id: int
    last: Post
    people: Sequence[Account]


async def conversations(feed: Feed, account: Account, page: Range) -> list[Conversation]:
    """Threads of direct posts that an account is part of, the one with the newest post first.

    They are found by what the account wrote and by its notifications, so no older than those are kept.
    """
    below = page.max_id if page.max_id is not None else (1 << 63) - 1
    async with feed.db.read(fresh=True) as tx:
        ids = await notifications.list_direct_ids(tx, account.id, below, page.limit * POSTS_PER_CONVERSATION)
    last: dict[int, Post] = {}
    for post in await visible(feed, ids, account.id):
        if post.visibility == "direct" and post.id > (page.since_id or 0):
            last.setdefault(post.conversation_id, post)
    return [await conversation_of(feed, account.id, post) for post in list(last.values())[: page.limit]]


async def conversation_of(feed: Feed, reader_id: int, post: Post) -> Conversation:
    """The conversation that a direct post is the last of."""
    others = {post.author_id, *(mention.id for mention in post.mentions)} - {reader_id}
    people = await feed.accounts.get_many(others)
    return Conversation(post.conversation_id, post, [people[each] for each in sorted(people)])


# --- telling --------------------------------------------------------------------------------------------------------
# What an event says may be undone by the time it is handled, and events may come in another order. So what counts is
# what is there now: the last event of each thing finds it as it is in the end.


async def notify_of_posts(tx: Tx, feed: Feed, events: Sequence[PostPublished]) -> None:
    """Tell those who are mentioned, whose posts are repeated, and who want to know of each post of an author."""
    reposts = [event for event in events if event.reblog_of_id is not None]
    posts = await feed.posts.get_many([event.post_id for event in events if event.reblog_of_id is None])
    wanted = [
        NewNotice(account_id=each, kind="mention", from_id=event.author_id, post_id=event.post_id)
        for event in events
        if event.post_id in posts
        for each in event.mentions
    ]
    pairs = [Pair(event.author_id, event.reblog_of_id or 0) for event in reposts]
    still = await notifications.list_marked(tx, "reblog", pairs) if pairs else set()
    wanted += [
        NewNotice(account_id=event.reblog_of_author_id, kind="reblog", from_id=pair.from_id, post_id=pair.to_id)
        for event, pair in zip(reposts, pairs, strict=True)
        if event.reblog_of_author_id is not None and pair in still
    ]
    await _tell(tx, feed, wanted)
    heard: dict[int, list[PostPublished]] = {}
    for event in events:
        to_others = event.in_reply_to_account_id not in (None, event.author_id)
        if event.post_id in posts and event.visibility != "direct" and not to_others:
            heard.setdefault(event.author_id, []).append(event)
    after = Pair(0, 0)
    while heard:
        followers = await notifications.list_notified(tx, list(heard), after, CHUNK)
        await _tell(
            tx,
            feed,
            [
                NewNotice(account_id=pair.from_id, kind="status", from_id=pair.to_id, post_id=event.post_id)
                for pair in followers
                for event in heard[pair.to_id]
                if pair.from_id not in event.mentions
            ],
        )
        if len(followers) < CHUNK:
            break
        after = followers[-1]


async def notify_of_edit(tx: Tx, feed: Feed, event: PostEdited) -> None:
    """Tell those who are mentioned now, and those who repeated the post, that it reads differently."""
    wanted: list[tuple[int, NoticeKind]] = [(each, "mention") for each in event.mentions]
    wanted += [(each, "update") for each in await notifications.list_reposters(tx, event.post_id, MOST_REPOSTERS)]
    await _tell(
        tx,
        feed,
        [
            NewNotice(account_id=each, kind=kind, from_id=event.author_id, post_id=event.post_id)
            for each, kind in wanted
        ],
    )


async def forget_posts(tx: Tx, feed: Feed, events: Sequence[PostDeleted]) -> None:
    """Take back what authors were told of posts that are gone. What others were told of them is hidden, and swept."""
    await notifications.delete_about(tx, {event.post_id: event.author_id for event in events if not event.reblog_of_id})
    originals = await feed.posts.get_many({event.reblog_of_id for event in events if event.reblog_of_id is not None})
    pairs = [Pair(event.author_id, event.reblog_of_id) for event in events if event.reblog_of_id in originals]
    if pairs:
        still = await notifications.list_marked(tx, "reblog", pairs)
        await notifications.delete_undone(tx, _notices("reblog", set(pairs) - still, originals))


async def notify_of_favourites(tx: Tx, feed: Feed, events: Sequence[PostMarked]) -> None:
    """Tell authors whose posts are liked, and take it back where they are no longer."""
    pairs = list({Pair(event.account_id, event.post_id) for event in events})
    posts = await feed.posts.get_many({pair.to_id for pair in pairs})
    pairs = [pair for pair in pairs if pair.to_id in posts]
    liked = await notifications.list_marked(tx, "favourite", pairs)
    await _tell(tx, feed, _notices("favourite", liked, posts))
    await notifications.delete_undone(tx, _notices("favourite", set(pairs) - liked, posts))


def _notices(kind: NoticeKind, pairs: Iterable[Pair], posts: dict[int, Post]) -> list[NewNotice]:
    """What the authors of posts are told of who did something with them."""
    return [
        NewNotice(account_id=posts[pair.to_id].author_id, kind=kind, from_id=pair.from_id, post_id=pair.to_id)
        for pair in pairs
    ]


async def notify_of_follows(tx: Tx, feed: Feed, events: Sequence[FollowChanged]) -> None:
    """Tell who is followed or asked, and take it back where it was undone."""
    pairs = list({Pair(event.follower_id, event.followee_id) for event in events})
    follows = await notifications.list_follows(tx, pairs)
    requests = await notifications.list_requests(tx, pairs)
    told = [NewNotice(account_id=pair.to_id, kind="follow", from_id=pair.from_id) for pair in follows]
    told += [NewNotice(account_id=pair.to_id, kind="follow_request", from_id=pair.from_id) for pair in requests]
    await _tell(tx, feed, told)
    undone = [NewNotice(account_id=pair.to_id, kind="follow", from_id=pair.from_id) for pair in set(pairs) - follows]
    await notifications.delete_undone(tx, undone)


async def _tell(tx: Tx, feed: Feed, wanted: Sequence[NewNotice]) -> None:
    """Write notifications for those who want to be told, and send them to open streams after the commit."""
    told: list[Told] = []
    for start in range(0, len(wanted), CHUNK):
        chunk = await _welcome(feed, wanted[start : start + CHUNK])
        if chunk:
            told += await notifications.insert_notices(tx, chunk, [feed.ids.next() for _ in chunk])

    async def tell_streams() -> None:
        for each in told:
            await feed.streams.tell_notification(each.account_id, each.id)

    if told:
        tx.after_commit(tell_streams)


async def _welcome(feed: Feed, wanted: Sequence[NewNotice]) -> list[NewNotice]:
    """Those that are about others' doings, from people and in conversations that the account has not silenced."""
    receivers = {each.account_id for each in wanted}
    existing = await feed.accounts.get_many(receivers)
    relations = await feed.relations.get_many(existing)
    await feed.marks.get_many(existing)  # all in one go; below each is at hand
    posts = await posts_of(feed, {each.post_id for each in wanted if each.post_id is not None})
    silent = {each: rules.silenced(found) for each, found in relations.items()}
    kept = []
    for each in wanted:
        if each.account_id == each.from_id or each.account_id not in existing:
            continue
        if each.from_id in silent.get(each.account_id, ()):
            continue
        if each.post_id is not None:
            post = posts.get(each.post_id)
            if post is None:
                continue
            marks = await marks_of(feed, each.account_id, [post.conversation_id])
            if post.conversation_id in marks.mutes:
                continue
        kept.append(each)
    return kept
