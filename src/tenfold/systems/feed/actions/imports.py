"""Bulk import of a social graph and its posts, for whoever operates the machine: JSON lines, thousands a second."""

import asyncio
from collections.abc import Coroutine, Iterable, Set
from datetime import datetime
from hashlib import blake2b
from itertools import batched
from typing import Annotated, Self

import msgspec

from tenfold.platform.identity.actions import import_accounts
from tenfold.platform.identity.store import find_account_id
from tenfold.platform.ids import first_id
from tenfold.systems.feed.actions.accounts import MOST_NAME, MOST_NOTE
from tenfold.systems.feed.actions.context import Feed
from tenfold.systems.feed.actions.relations import tell_counted
from tenfold.systems.feed.rules import search
from tenfold.systems.feed.rules.text import read, tidy
from tenfold.systems.feed.store import imports, relations
from tenfold.systems.feed.store.imports import NewAccount
from tenfold.systems.feed.types import Mention, Post

#: Rows that one transaction keeps: enough that counting them costs little, few enough to hold in memory.
ACCOUNTS, FOLLOWS, POSTS = 20_000, 500_000, 25_000
#: Rows after which others get a turn in this process, among them what keeps those before.
BREATH = 500
#: Names that are remembered, and problems that are told.
MOST_NAMES, MOST_PROBLEMS = 2_000_000, 20
#: Bytes of a line. Posts from elsewhere may be longer than those that are written here.
MOST_LINE = 64 * 1024

type Username = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{3,30}$")]
type Id = Annotated[int, msgspec.Meta(gt=0, le=(1 << 63) - 1)]


class AccountLine(msgspec.Struct, frozen=True, tag="account"):
    username: Username
    display_name: Annotated[str, msgspec.Meta(max_length=MOST_NAME)] = ""
    note: Annotated[str, msgspec.Meta(max_length=MOST_NOTE)] = ""


class FollowLine(msgspec.Struct, frozen=True, tag="follow"):
    follower: Username
    followee: Username


class PostLine(msgspec.Struct, frozen=True, tag="post"):
    author: Username
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
    #: With its zone. Timelines are ordered by ids: without `id` it is made of this time.
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    id: Id | None = None


class Imported(msgspec.Struct):
    """What an import has added: what was there before doesn't count."""

    accounts: int = 0
    follows: int = 0
    posts: int = 0
    #: Lines that can't be taken, and what is wrong with the first of them.
    refused: int = 0
    problems: list[str] = []

    def refuse(self, where: str, reason: str) -> None:
        self.refused += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(f"{where}: {reason}")


async def import_graph(feed: Feed, lines: Iterable[bytes]) -> Imported:
    """Add accounts, follows and posts, one a line as JSON; what is there already stays as it is, so it can be repeated.

        {"type": "account", "username": "ada", "display_name": "Ada", "note": ""}
        {"type": "follow", "follower": "bob", "followee": "ada"}
        {"type": "post", "author": "ada", "text": "Hello #world", "at": "2026-01-31T12:00:00Z"}

    An account comes before its follows and posts. Follows need no consent; posts are public, are told to nobody, and
    are in homes that are filled from then on. Platform accounts are made for names that are free; they have no
    password. A post without `id` is the same as another of its author, text and millisecond.
    """
    work = _Import(feed)
    decode = msgspec.json.Decoder(AccountLine | FollowLine | PostLine).decode
    async with work:
        for number, line in enumerate(lines, 1):
            if number % BREATH == 0:
                await asyncio.sleep(0)
            if len(line) > MOST_LINE:
                work.done.refuse(f"line {number}", "it is too long")
                continue
            if not line.strip():
                continue
            try:
                read_line = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                work.done.refuse(f"line {number}", str(error))
                continue
            if isinstance(read_line, FollowLine):
                work.follows.append(read_line)
            elif isinstance(read_line, PostLine):
                work.posts.append(read_line)
            else:
                work.accounts[read_line.username.lower()] = read_line
            if len(work.follows) == FOLLOWS or len(work.posts) == POSTS or len(work.accounts) == ACCOUNTS:
                await work.flush()
        await work.flush()
    return work.done


class _Import:
    """Lines that wait to be kept together, and what is known by now.

    While the database keeps some, the next ones are read: so it takes as long as the slower of both.
    """

    def __init__(self, feed: Feed) -> None:
        self.done = Imported()
        self.accounts: dict[str, AccountLine] = {}
        self.follows: list[FollowLine] = []
        self.posts: list[PostLine] = []
        self._feed = feed
        self._named: dict[str, Mention] = {}
        self._counted: set[int] = set()
        self._followers: set[int] = set()
        self._crossed = False
        self._gathering = False
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for what is being kept, also when reading has failed, and let all processes know what has changed."""
        try:
            await self._kept()
        finally:
            if self._gathering:
                async with self._feed.db.session() as tx:
                    await imports.spread_words(tx)
            await self._tell()

    async def flush(self) -> None:
        """Keep what waits: accounts first, since the others name them."""
        await self._keep_accounts()
        await self._keep_follows()
        await self._keep_posts()

    async def _keep(self, work: Coroutine[None, None, None]) -> None:
        """Begin to keep something once what was begun before is kept."""
        try:
            await self._kept()
        except BaseException:
            work.close()
            raise
        self._keeping = asyncio.create_task(work)

    async def _kept(self) -> None:
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            await keeping

    async def _keep_accounts(self) -> None:
        lines, self.accounts = self.accounts, {}
        if not lines:
            return
        there = await self._find(lines.keys())
        wanted = [line for name, line in lines.items() if name not in there]
        ids = await import_accounts(self._feed.identity, [(each.username, each.username) for each in wanted])
        new: list[NewAccount] = []
        async with self._feed.db.transaction() as tx:
            await imports.begin(tx)
            for line, made in zip(wanted, ids, strict=True):
                # Taken by somebody who hasn't come here yet, or by an import that was cut off at this place.
                account_id = await find_account_id(tx, line.username.lower()) if made is None else made
                if account_id is None:
                    self.done.refuse(line.username, "can't be a name")
                    continue
                shown = " ".join(tidy(line.display_name).split()) or line.username
                new.append(NewAccount(account_id, line.username, shown, tidy(line.note)))
            self.done.accounts += await imports.insert_accounts(tx, new)
        self._counted.update(each.id for each in new)

    async def _keep_follows(self) -> None:
        lines, self.follows = self.follows, []
        if not lines:
            return
        named = await self._find({each.follower.lower() for each in lines} | {each.followee.lower() for each in lines})
        followers: list[int] = []
        followees: list[int] = []
        for line in lines:
            follower, followee = named.get(line.follower.lower()), named.get(line.followee.lower())
            if follower is None or followee is None or follower.id == followee.id:
                self.done.refuse(f"{line.follower} follows {line.followee}", "not two accounts that exist")
                continue
            followers.append(follower.id)
            followees.append(followee.id)
        self._followers.update(followers)
        await self._keep(self._insert_follows(followers, followees))

    async def _insert_follows(self, followers: list[int], followees: list[int]) -> None:
        async with self._feed.db.transaction() as tx:
            await imports.begin(tx)
            added = await imports.insert_follows(tx, followers, followees)
            gained = {each.id: each.followers for each in added}
            threshold = self._feed.settings.celebrity_followers
            crossed = await relations.add_follows(tx, gained, {each.id: each.following for each in added}, threshold)
        self.done.follows += sum(gained.values())
        self._crossed = self._crossed or bool(crossed)
        self._counted.update(gained)

    async def _keep_posts(self) -> None:
        lines, self.posts = self.posts, []
        if not lines:
            return
        readings = [read(each.text) for each in lines]
        names = {each.author.lower() for each in lines}
        named = await self._find(names.union(*(reading.mentions for reading in readings)))
        new: dict[int, Post] = {}
        for line, reading in zip(lines, readings, strict=True):
            author, text = named.get(line.author.lower()), tidy(line.text)
            post_id = line.id or _id_of(line)
            if author is None or not text or post_id is None:
                reason = "no such account" if author is None else "no text" if not text else "too old without an id"
                self.done.refuse(f"a post of {line.author}", reason)
                continue
            mentions = [named[name] for name in reading.mentions if name in named]
            new[post_id] = _post(post_id, author.id, text, line.at, mentions, reading.tags)
        words: list[str] = []
        for some in batched(new.values(), BREATH):
            words += map(search.words, some)
            await asyncio.sleep(0)
        await self._keep(self._insert_posts(list(new.values()), words))

    async def _insert_posts(self, new: list[Post], words: list[str]) -> None:
        if not self._gathering and len(new) == POSTS:
            self._gathering = True
            async with self._feed.db.session() as tx:
                await imports.gather_words(tx)
        async with self._feed.db.transaction() as tx:
            await imports.begin(tx)
            added = await imports.insert_posts(tx, new, words)
        self.done.posts += sum(added.values())
        self._counted.update(added)

    async def _find(self, names: Set[str]) -> dict[str, Mention]:
        """The accounts by these names, those that exist."""
        if len(self._named) > MOST_NAMES:
            self._named.clear()
        missing = sorted(names - self._named.keys())
        if missing:
            async with self._feed.db.read(fresh=True) as tx:
                found = await imports.list_named(tx, missing)
            self._named |= {each.name: Mention(each.id, each.username) for each in found}
        return self._named

    async def _tell(self) -> None:
        """Let all processes know what has changed, once."""
        feed = self._feed
        await feed.relations.invalidate(self._followers)
        await feed.authored.invalidate(self._counted & feed.celebrities.ids)
        await feed.timelines.drop(self._followers)
        await tell_counted(feed, self._counted, crossed=self._crossed)


def _id_of(line: PostLine) -> int | None:
    """An id that the same line always gets: its millisecond, then 22 bits of what it says. None before ids begin."""
    first = first_id(line.at.timestamp())
    digest = blake2b(f"{line.author.lower()}\n{line.text}".encode(), digest_size=4).digest()
    return first | int.from_bytes(digest) & 0x3FFFFF if first else None


def _post(id: int, author_id: int, text: str, at: datetime, mentions: list[Mention], tags: list[str]) -> Post:
    return Post(
        id=id,
        author_id=author_id,
        text=text,
        spoiler_text="",
        visibility="public",
        sensitive=False,
        language=None,
        in_reply_to_id=None,
        in_reply_to_account_id=None,
        conversation_id=id,
        reblog_of_id=None,
        mentions=[each for each in mentions if each.id != author_id],
        tags=tags,
        media=[],
        application=None,
        created_at=at,
        edited_at=None,
        favourites=0,
        reblogs=0,
        replies=0,
    )
