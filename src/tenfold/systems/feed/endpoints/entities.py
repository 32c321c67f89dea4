"""Accounts and statuses as the Mastodon client API shows them (4.x), encoded once and then put together from pieces.

A status is the same for everybody but for six flags. So its bytes are kept beside the post that they were made of, and
a page of a timeline is a join of what is there already: that is what makes reading a home timeline cheap.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from tenfold.systems.feed.actions.context import Feed, find_account, marks_of, posts_of
from tenfold.systems.feed.rules import text
from tenfold.systems.feed.types import Account, Marks, Media, Post

_encode = msgspec.json.Encoder().encode


class FieldView(msgspec.Struct):
    name: str
    value: str
    verified_at: str | None = None


class AccountView(msgspec.Struct, kw_only=True):
    """An account, https://docs.joinmastodon.org/entities/Account/."""

    id: str
    username: str
    acct: str
    display_name: str
    locked: bool
    bot: bool
    discoverable: bool
    indexable: bool
    group: bool = False
    created_at: str
    note: str
    url: str
    uri: str
    avatar: str
    avatar_static: str
    avatar_description: str = ""
    header: str
    header_static: str
    header_description: str = ""
    followers_count: int
    following_count: int
    statuses_count: int
    last_status_at: str | None
    hide_collections: bool = False
    noindex: bool = False
    emojis: list[Any] = []
    roles: list[Any] = []
    fields: list[FieldView] = []


class Source(msgspec.Struct, kw_only=True):
    """What the owner of an account edits."""

    note: str
    fields: list[FieldView]
    privacy: str
    sensitive: bool
    language: str | None
    follow_requests_count: int
    hide_collections: bool = False
    discoverable: bool
    indexable: bool
    attribution_domains: list[str] = []
    quote_policy: str = "nobody"


class Role(msgspec.Struct, kw_only=True):
    id: str = "-99"
    name: str = ""
    permissions: str = "0"
    color: str = ""
    highlighted: bool = False


class CredentialAccountView(AccountView, kw_only=True):
    """One's own account, https://docs.joinmastodon.org/entities/Account/#CredentialAccount."""

    source: Source
    role: Role = msgspec.field(default_factory=Role)


class MediaView(msgspec.Struct, kw_only=True):
    """https://docs.joinmastodon.org/entities/MediaAttachment/."""

    id: str
    type: str
    url: str | None
    preview_url: str | None
    remote_url: str | None = None
    preview_remote_url: str | None = None
    text_url: str | None = None
    meta: dict[str, Any]
    description: str | None
    blurhash: str | None


class MentionView(msgspec.Struct):
    id: str
    username: str
    url: str
    acct: str


class TagView(msgspec.Struct):
    name: str
    url: str


class _Body(msgspec.Struct, kw_only=True):
    """A status without its account, its reblog and what depends on who looks."""

    id: str
    created_at: str
    in_reply_to_id: str | None
    in_reply_to_account_id: str | None
    sensitive: bool
    spoiler_text: str
    visibility: str
    language: str | None
    uri: str
    url: str
    replies_count: int
    reblogs_count: int
    favourites_count: int
    quotes_count: int = 0
    edited_at: str | None
    content: str
    application: dict[str, Any] | None
    media_attachments: list[MediaView]
    mentions: list[MentionView]
    tags: list[TagView]
    emojis: list[Any] = []
    card: None = None
    poll: None = None
    quote: None = None


def timestamp(moment: datetime) -> str:
    """ISO 8601 with milliseconds, as clients expect it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _account_fields(feed: Feed, account: Account) -> dict[str, Any]:
    avatar = feed.blobs.public_url(account.avatar) if account.avatar else f"{feed.url}/api/pictures/avatar/{account.id}"
    header = feed.blobs.public_url(account.header) if account.header else f"{feed.url}/api/pictures/header/{account.id}"
    url = f"{feed.url}/@{account.username}"
    return {
        "id": str(account.id),
        "username": account.username,
        "acct": account.username,
        "display_name": account.display_name,
        "locked": account.locked,
        "bot": account.bot,
        "discoverable": account.discoverable,
        "indexable": account.discoverable,
        "created_at": timestamp(account.created_at.replace(hour=0, minute=0, second=0, microsecond=0)),
        "note": text.to_html(account.note, [], feed.url),
        "url": url,
        "uri": url,
        "avatar": avatar,
        "avatar_static": avatar,
        "header": header,
        "header_static": header,
        "followers_count": account.followers,
        "following_count": account.following,
        "statuses_count": account.statuses,
        "last_status_at": _day(account.last_status_at),
        "fields": [FieldView(field.name, text.to_html(field.value, [], feed.url)) for field in account.fields],
    }


def account(feed: Feed, account: Account) -> bytes:
    """An account, encoded."""
    return _encode(AccountView(**_account_fields(feed, account)))


def accounts(feed: Feed, some: Sequence[Account]) -> bytes:
    """A list of accounts, encoded."""
    return b"[" + b",".join([account(feed, each) for each in some]) + b"]"


def own_account(feed: Feed, account: Account, *, follow_requests: int) -> bytes:
    """One's own account, with what one may edit."""
    fields = [FieldView(field.name, field.value) for field in account.fields]
    source = Source(
        note=account.note,
        fields=fields,
        privacy=account.default_visibility,
        sensitive=account.default_sensitive,
        language=account.default_language,
        follow_requests_count=follow_requests,
        discoverable=account.discoverable,
        indexable=account.discoverable,
    )
    return _encode(CredentialAccountView(**_account_fields(feed, account), source=source))


def media(feed: Feed, media: Media) -> MediaView:
    return MediaView(
        id=str(media.id),
        type=media.type,
        url=feed.blobs.public_url(media.key) if media.key else None,
        preview_url=feed.blobs.public_url(media.preview_key) if media.preview_key else None,
        meta=media.meta,
        description=media.description,
        blurhash=media.blurhash,
    )


def _body(feed: Feed, post: Post, author: Account) -> bytes:
    """A status up to where its account goes, with the closing brace left out."""
    url = f"{feed.url}/@{author.username}/{post.id}"
    body = _Body(
        id=str(post.id),
        created_at=timestamp(post.created_at),
        in_reply_to_id=None if post.in_reply_to_id is None else str(post.in_reply_to_id),
        in_reply_to_account_id=None if post.in_reply_to_account_id is None else str(post.in_reply_to_account_id),
        sensitive=post.sensitive,
        spoiler_text=post.spoiler_text,
        visibility=post.visibility,
        language=post.language,
        uri=url,
        url=url,
        replies_count=post.replies,
        reblogs_count=post.reblogs,
        favourites_count=post.favourites,
        edited_at=None if post.edited_at is None else timestamp(post.edited_at),
        content=text.to_html(post.text, post.mentions, feed.url),
        application=None if post.application is None else msgspec.to_builtins(post.application),
        media_attachments=[media(feed, each) for each in post.media],
        mentions=[
            MentionView(str(each.id), each.username, f"{feed.url}/@{each.username}", each.username)
            for each in post.mentions
        ],
        tags=[TagView(tag.lower(), f"{feed.url}/tags/{tag.lower()}") for tag in post.tags],
    )
    return _encode(body)[:-1]


def _flags(post: Post, marks: Marks, reader_id: int | None) -> bytes:
    """What a status says to one reader alone."""
    post_id = post.id
    own = b""
    if post.author_id == reader_id:
        own = b',"pinned":true' if post_id in marks.pins else b',"pinned":false'
    return b"".join((
        b',"favourited":', b"true" if post_id in marks.favourites else b"false",
        b',"reblogged":', b"true" if post_id in marks.reblogs else b"false",
        b',"bookmarked":', b"true" if post_id in marks.bookmarks else b"false",
        b',"muted":', b"true" if post.conversation_id in marks.mutes else b"false",
        own, b',"filtered":[]}',
    ))  # fmt: skip


#: How a status ends that repeats none, for a reader who has done nothing with it: most of them.
_PLAIN = b',"reblog":null,"favourited":false,"reblogged":false,"bookmarked":false,"muted":false,"filtered":[]}'


class _Kept(msgspec.Struct):
    """Bytes of a post, and what they were made of: when either is another now, they are made again."""

    post: Post
    author: Account
    data: bytes


class Kept:
    """The encoded statuses of one process, the last used ones."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    def of(self, feed: Feed, post: Post, author: Account) -> bytes:
        """The whole of a status that ends as most do."""
        kept = self._kept.get(post.id)
        if kept is not None:
            if kept.post is post and kept.author is author:
                return kept.data
            if kept.post == post and kept.author == author:  # read anew, and the same: far cheaper than encoding
                kept.post, kept.author = post, author
                return kept.data
        data = _body(feed, post, author) + b',"account":' + account(feed, author) + _PLAIN
        self._kept[post.id] = _Kept(post, author, data)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return data

    def start_of(self, feed: Feed, post: Post, author: Account) -> bytes:
        """A status without its end."""
        return self.of(feed, post, author)[: -len(_PLAIN)]


_kept = Kept(20_000)


async def statuses(feed: Feed, posts: Sequence[Post], reader_id: int | None) -> bytes:
    """A list of statuses as a reader sees them, encoded. Without those whose author or original is gone."""
    return b"[" + b",".join(await each_status(feed, posts, reader_id)) + b"]"


async def status(feed: Feed, post: Post, reader_id: int | None) -> bytes:
    """One status as a reader sees it, encoded."""
    found = await each_status(feed, [post], reader_id)
    if not found:
        await find_account(feed, post.author_id)  # raises, since it is gone
    return found[0]


async def each_status(feed: Feed, posts: Sequence[Post], reader_id: int | None) -> list[bytes]:
    """Statuses, each encoded by itself. Mostly from memory: no round trip where all is known here."""
    originals = {post.reblog_of_id for post in posts if post.reblog_of_id is not None}
    others = await posts_of(feed, originals) if originals else {}
    people = {post.author_id for post in posts}
    if others:
        people |= {post.author_id for post in others.values()}
    authors = await feed.accounts.get_many(people)
    shown = {post.id for post in posts}
    marks = await marks_of(feed, reader_id, [*shown, *others])
    marked = shown & marks.favourites | shown & marks.reblogs | shown & marks.bookmarks
    result: list[bytes] = []
    for post in posts:
        author = authors.get(post.author_id)
        if author is None:
            continue
        if post.reblog_of_id is not None:
            original = others.get(post.reblog_of_id)
            wrote = None if original is None else authors.get(original.author_id)
            if original is None or wrote is None:
                continue
            inner = _kept.start_of(feed, original, wrote) + b',"reblog":null' + _flags(original, marks, reader_id)
            outer = _kept.start_of(feed, post, author)
            result.append(outer + b',"reblog":' + inner + _flags(post, marks, reader_id))
        elif post.id in marked or post.author_id == reader_id or post.conversation_id in marks.mutes:
            outer = _kept.start_of(feed, post, author)
            result.append(outer + b',"reblog":null' + _flags(post, marks, reader_id))
        else:
            result.append(_kept.of(feed, post, author))
    return result
