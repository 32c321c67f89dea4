"""Writing, changing, removing and repeating posts, and the conversations that they are part of."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from tenfold.contracts.feed import PostDeleted, PostEdited, PostPublished
from tenfold.platform import outbox
from tenfold.platform.db import Tx
from tenfold.platform.identity.rules import read_id
from tenfold.platform.ids import first_id, made_at
from tenfold.systems.feed.actions.context import Feed, find_visible, relations_of, visible
from tenfold.systems.feed.actions.media import Describe, described
from tenfold.systems.feed.errors import BadPost, NotAllowed, PostNotFound
from tenfold.systems.feed.rules import search, text, threads, timelines, visibility
from tenfold.systems.feed.rules.text import Reading
from tenfold.systems.feed.store import marks, media, posts
from tenfold.systems.feed.store.search import list_account_ids
from tenfold.systems.feed.types import Account, Application, Media, Mention, Post, Visibility

#: Characters of text that are read at all, whatever they would count as.
MOST_TEXT = 20_000
#: Different people that one post can mention, and tags that it can stand under.
MOST_MENTIONS, MOST_TAGS = 50, 50
MOST_PINS, MOST_EDITS = 5, 100
#: Answers that are counted: of others not even their number is told.
COUNTED = ("public", "unlisted")
#: Seconds by which the clocks of processes may differ: but for that, ids of answers are greater than what they answer.
SKEW = 10.0

type Id = Annotated[str, msgspec.Meta(max_length=20)] | int
type Text = Annotated[str, msgspec.Meta(max_length=MOST_TEXT)]


class DescribeAttached(Describe, frozen=True, kw_only=True):
    """What is said of something that a post has already."""

    id: Id


class WritePost(msgspec.Struct, frozen=True, kw_only=True):
    """What a client sends to post, https://docs.joinmastodon.org/methods/statuses/#create, or to change a post: then
    what isn't sent is gone, but for the language; the visibility and what it answers stay as they are."""

    status: Text = ""
    spoiler_text: Text | None = None
    media_ids: Annotated[list[Id], msgspec.Meta(max_length=20)] | None = None
    #: Of a change only.
    media_attributes: Annotated[list[DescribeAttached], msgspec.Meta(max_length=20)] | None = None
    sensitive: bool | None = None
    language: Annotated[str, msgspec.Meta(max_length=12, pattern="^[A-Za-z-]*$")] | None = None
    visibility: Visibility | None = None
    in_reply_to_id: Id | None = None
    poll: Any = None
    scheduled_at: Any = None
    quoted_status_id: Any = None


async def publish(
    feed: Feed,
    author: Account,
    wish: WritePost,
    *,
    application: Application | None = None,
    idempotency_key: str | None = None,
) -> Post:
    """Post something. It is in the database and the outbox when this returns.

    A client that sends the same key again gets the post that it has made. Raises BadPost, and PostNotFound for an
    answer to what isn't there or not for the author.
    """
    said = _read(feed, wish)
    parent = None
    if wish.in_reply_to_id:
        parent = await _find_original(feed, _number(wish.in_reply_to_id), author.id)
    mentions = await _mentioned(feed, author, said.reading)
    post_id = feed.ids.next()
    post = Post(
        id=post_id,
        author_id=author.id,
        text=said.text,
        spoiler_text=said.spoiler_text,
        # An answer in confidence stays in confidence, unless its author says otherwise.
        visibility=wish.visibility
        or ("direct" if parent and parent.visibility == "direct" else author.default_visibility),
        sensitive=bool(said.spoiler_text) or (author.default_sensitive if wish.sensitive is None else wish.sensitive),
        language=wish.language or author.default_language or None,
        in_reply_to_id=None if parent is None else parent.id,
        in_reply_to_account_id=None if parent is None else parent.author_id,
        conversation_id=post_id if parent is None else parent.conversation_id,
        reblog_of_id=None,
        mentions=mentions,
        tags=said.reading.tags[:MOST_TAGS],
        media=[],
        application=application,
        created_at=datetime.fromtimestamp(made_at(post_id), UTC),
        edited_at=None,
        favourites=0,
        reblogs=0,
        replies=0,
    )
    async with feed.db.transaction() as tx:
        if idempotency_key:
            made_id = await posts.insert_idempotency(tx, author.id, idempotency_key[:200], post_id)
            if made_id is not None and (made := await posts.list_posts(tx, [made_id])):
                return made[0]
        if said.media_ids:
            post = msgspec.structs.replace(post, media=await _attach(tx, author, said.media_ids, post_id))
        await posts.insert_post(tx, post, search.words(post))
        await outbox.emit(tx, _published(feed, author, post, None))
    await _tell_new(feed, author, post)
    return post


async def repost(feed: Feed, account: Account, post_id: int, shown_to: Visibility | None = None) -> Post:
    """Repeat a post for one's followers; who has done so already gets that one.

    Raises PostNotFound, NotAllowed, BadPost.
    """
    original = await _find_original(feed, post_id, account.id)
    if not visibility.may_repost(original, account.id):
        raise NotAllowed(reason="this post isn't public")
    if shown_to == "direct":
        raise BadPost(reason="a repost is for followers at least")
    new_id = feed.ids.next()
    made = Post(
        id=new_id,
        author_id=account.id,
        text="",
        spoiler_text="",
        visibility="private" if original.visibility == "private" else shown_to or account.default_visibility,
        sensitive=original.sensitive,
        language=original.language,
        in_reply_to_id=None,
        in_reply_to_account_id=None,
        conversation_id=original.conversation_id,
        reblog_of_id=original.id,
        mentions=[],
        tags=[],
        media=[],
        application=None,
        created_at=datetime.fromtimestamp(made_at(new_id), UTC),
        edited_at=None,
        favourites=0,
        reblogs=0,
        replies=0,
    )
    async with feed.db.transaction() as tx:
        if not await marks.insert_mark(tx, account.id, "reblog", original.id, new_id):
            there = await marks.find_mark(tx, account.id, "reblog", original.id)
            found = await posts.list_posts(tx, [there or 0])
            if not found:
                raise PostNotFound
            return found[0]
        await posts.insert_post(tx, made, None)
        await outbox.emit(tx, _published(feed, account, made, original))
    await feed.marks.invalidate([account.id])
    await _tell_new(feed, account, made)
    return made


async def unrepost(feed: Feed, account: Account, post_id: int) -> Post:
    """Take a repost back. The original. Raises PostNotFound."""
    original = await _find_original(feed, post_id, account.id)
    async with feed.db.transaction() as tx:
        made_id = await marks.delete_mark(tx, account.id, "reblog", original.id)
        made = [] if made_id is None else await posts.list_posts(tx, [made_id])
        for each in made:
            await _delete(tx, each)
    await feed.marks.invalidate([account.id])
    for each in made:
        await _tell_gone(feed, account, each)
    return original


async def edit(feed: Feed, author: Account, post_id: int, wish: WritePost) -> Post:
    """Change one's post; what it said stays in its history. Raises PostNotFound, BadPost, BadMedia."""
    said = _read(feed, wish)
    mentions = await _mentioned(feed, author, said.reading)
    async with feed.db.transaction() as tx:
        before = await posts.lock_post(tx, post_id)
        if before is None or before.author_id != author.id or before.reblog_of_id is not None:
            raise PostNotFound
        after = msgspec.structs.replace(
            before,
            text=said.text,
            spoiler_text=said.spoiler_text,
            sensitive=bool(wish.sensitive or said.spoiler_text),
            language=wish.language or before.language,
            mentions=mentions,
            tags=said.reading.tags[:MOST_TAGS],
            media=await _attach(tx, author, said.media_ids, post_id, wish.media_attributes or ()),
        )
        if after == before:
            return before
        if await posts.count_versions(tx, post_id) >= MOST_EDITS:
            raise BadPost(reason=f"a post can be changed {MOST_EDITS} times")
        after = msgspec.structs.replace(after, edited_at=datetime.now(UTC))
        await posts.update_post(tx, before, after, search.words(after))
        known = {author.id, *(each.id for each in before.mentions)}
        new_mentions = [each.id for each in mentions if each.id not in known]
        await outbox.emit(tx, PostEdited(post_id=post_id, author_id=author.id, mentions=new_mentions))
    await feed.posts.invalidate([post_id])
    await feed.streams.tell_edited(after)
    return after


async def delete(feed: Feed, author: Account, post_id: int, *, with_media: bool = False) -> Post:
    """Remove one's post or repost. What it was. Raises PostNotFound.

    Its attachments can go to another post for a day, as when somebody writes it anew; `with_media` they go with it.
    """
    async with feed.db.transaction() as tx:
        post = await posts.lock_post(tx, post_id)
        if post is None or post.author_id != author.id:
            raise PostNotFound
        if post.reblog_of_id is not None:
            await marks.delete_mark(tx, author.id, "reblog", post.reblog_of_id)
        await _delete(tx, post, with_media=with_media)
    if post.reblog_of_id is not None:
        await feed.marks.invalidate([author.id])
    await _tell_gone(feed, author, post)
    return post


async def pin(feed: Feed, author: Account, post_id: int, *, pinned: bool) -> Post:
    """Show one's post at the top of one's profile, or no longer. Raises PostNotFound, BadPost."""
    post = await find_visible(feed, post_id, author.id)
    if post.author_id != author.id:
        raise BadPost(reason="somebody else's post can't be pinned")
    if post.reblog_of_id is not None or post.visibility == "direct":
        raise BadPost(reason="reposts and direct posts can't be pinned")
    async with feed.db.transaction() as tx:
        there = await posts.list_pinned_ids(tx, author.id) if pinned else []
        if len(there) >= MOST_PINS and post_id not in there:
            raise BadPost(reason=f"at most {MOST_PINS} posts can be pinned")
        await posts.set_pin(tx, author.id, post_id, pinned=pinned)
    await feed.marks.invalidate([author.id])
    return post


class Context(msgspec.Struct, frozen=True):
    """What stands around a post."""

    ancestors: list[Post]
    descendants: list[Post]


async def context(feed: Feed, post_id: int, reader_id: int | None) -> Context:
    """What a post answers and what answers it, as far as the reader may see it and wants to. Raises PostNotFound."""
    post = await find_visible(feed, post_id, reader_id)
    bounds = threads.STRANGERS if reader_id is None else threads.KNOWN
    since = first_id(made_at(post.id) - SKEW)
    async with feed.db.read(fresh=True) as tx:
        above = await posts.list_ancestor_ids(tx, post.conversation_id, post.id, bounds.ancestors)
        answers = await posts.list_placed(tx, post.conversation_id, since, threads.LOOKED_AT)
    below = threads.descendants(answers, post.id, bounds.descendants)
    hidden = await relations_of(feed, reader_id)
    shown = [
        each for each in await visible(feed, [*above, *below], reader_id) if not timelines.hides(each.author_id, hidden)
    ]
    before = set(above)
    return Context([each for each in shown if each.id in before], [each for each in shown if each.id not in before])


async def history(feed: Feed, post_id: int, reader_id: int | None) -> tuple[Post, list[posts.Version]]:
    """A post and what it said before. Raises PostNotFound."""
    post = await find_visible(feed, post_id, reader_id)
    async with feed.db.read(fresh=True) as tx:
        return post, await posts.list_versions(tx, post_id)


async def own(feed: Feed, author: Account, post_id: int) -> Post:
    """One's own post, for its source. Raises PostNotFound."""
    post = await find_visible(feed, post_id, author.id)
    if post.author_id != author.id:
        raise PostNotFound
    return post


# --- what all of them do --------------------------------------------------------------------------------------------


class _Said(msgspec.Struct, frozen=True):
    """What somebody wants to post, read and checked."""

    text: str
    spoiler_text: str
    reading: Reading
    media_ids: list[int]


def _read(feed: Feed, wish: WritePost) -> _Said:
    """Raises BadPost."""
    if wish.poll or wish.scheduled_at or wish.quoted_status_id:
        raise BadPost(reason="polls, scheduled posts and quotes are not offered here")
    settings = feed.settings
    said, spoiler = text.tidy(wish.status), text.tidy(wish.spoiler_text or "")
    if not said:  # a warning with nothing behind it is the text
        said, spoiler = spoiler, ""
    media_ids = list(dict.fromkeys(_number(each) for each in wish.media_ids or ()))
    if not said and not media_ids:
        raise BadPost(reason="the text can't be blank")
    length = text.count(said, url_characters=settings.url_characters) + text.count(spoiler)
    if length > settings.characters:
        raise BadPost(reason=f"the text has {length} characters, and {settings.characters} are allowed")
    if len(media_ids) > settings.attachments:
        raise BadPost(reason=f"at most {settings.attachments} files can be attached")
    return _Said(said, spoiler, text.read(said), media_ids)


def _number(given: str | int) -> int:
    """The id that a client has sent; 0, which nothing has, for what can't be one."""
    return read_id(str(given)) or 0


async def _find_original(feed: Feed, post_id: int, reader_id: int) -> Post:
    """A post that somebody may see; of a repost what it repeats. Raises PostNotFound."""
    post = await find_visible(feed, post_id, reader_id)
    return post if post.reblog_of_id is None else await find_visible(feed, post.reblog_of_id, reader_id)


async def _mentioned(feed: Feed, author: Account, reading: Reading) -> list[Mention]:
    """Those named who exist, but for who is parted from the author by a block."""
    names = reading.mentions[:MOST_MENTIONS]
    if not names:
        return []
    async with feed.db.read(fresh=True) as tx:
        ids = await list_account_ids(tx, names)
    hidden = await relations_of(feed, author.id)
    found = await feed.accounts.get_many(set(ids.values()) - hidden.blocked - hidden.blocks)
    return [Mention(ids[name], found[ids[name]].username) for name in names if ids.get(name) in found]


async def _attach(
    tx: Tx, author: Account, media_ids: Sequence[int], post_id: int, said: Sequence[DescribeAttached] = ()
) -> list[Media]:
    """Give uploads to a post, with what is said of them now. Raises BadPost, BadMedia."""
    if not media_ids:
        return []
    found = {each.id: each for each in await media.attach(tx, author.id, media_ids, post_id)}
    missing = [str(each) for each in media_ids if each not in found]
    if missing:
        raise BadPost(reason=f"media {', '.join(missing)} not found, or attached to another post")
    if len(found) > 1 and any(each.type in ("video", "audio") for each in found.values()):
        raise BadPost(reason="a film or a sound is attached alone")
    changed = [described(found[_number(each.id)], each) for each in said if _number(each.id) in found]
    if changed:
        await media.describe(tx, author.id, changed)
        found |= {each.id: each for each in changed}
    return [found[each] for each in media_ids]


def _published(feed: Feed, author: Account, post: Post, original: Post | None) -> PostPublished:
    pushed = not author.celebrity and not timelines.is_celebrity(author.followers, feed.settings.celebrity_followers)
    return PostPublished(
        post_id=post.id,
        author_id=author.id,
        visibility=post.visibility,
        reblog_of_id=post.reblog_of_id,
        reblog_of_author_id=None if original is None else original.author_id,
        in_reply_to_id=post.in_reply_to_id,
        in_reply_to_account_id=post.in_reply_to_account_id,
        mentions=[each.id for each in post.mentions if each.id != author.id],
        tags=sorted({tag.lower() for tag in post.tags}),
        pushed=pushed,
    )


async def _delete(tx: Tx, post: Post, *, with_media: bool = False) -> None:
    await posts.delete_post(tx, post)
    await media.release(tx, post.author_id, post.id, at_once=with_media)
    event = PostDeleted(
        post_id=post.id,
        author_id=post.author_id,
        visibility=post.visibility,
        reblog_of_id=post.reblog_of_id,
        in_reply_to_id=post.in_reply_to_id if post.visibility in COUNTED else None,
    )
    await outbox.emit(tx, event)


async def _tell_new(feed: Feed, author: Account, post: Post) -> None:
    """Let open streams know of a post, and the cache of what a celebrity wrote last."""
    if author.celebrity:
        await feed.authored.invalidate([author.id])
    await feed.streams.tell_post(post)


async def _tell_gone(feed: Feed, author: Account, post: Post) -> None:
    """Let no cache hold a post that is gone, and open streams take it away."""
    await feed.posts.invalidate([post.id])
    if author.celebrity:
        await feed.authored.invalidate([author.id])
    await feed.streams.tell_deleted(post)
