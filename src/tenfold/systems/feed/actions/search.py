"""Finding posts, people and tags."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import time
from urllib.parse import unquote

import msgspec
import regex

from tenfold.platform.db import Tx
from tenfold.platform.identity.rules import read_id
from tenfold.systems.feed.actions.accounts import look_up, own_hosts, read_many
from tenfold.systems.feed.actions.context import Feed, find_visible, relations_of, visible
from tenfold.systems.feed.errors import AccountNotFound, PostNotFound
from tenfold.systems.feed.rules import search as rules
from tenfold.systems.feed.rules.search import Match, Question
from tenfold.systems.feed.rules.text import is_tag
from tenfold.systems.feed.rules.timelines import hides
from tenfold.systems.feed.store import relations, search
from tenfold.systems.feed.store.search import Scope
from tenfold.systems.feed.types import Account, Post, Range

#: People of each kind (followed, by username, by any part) among whom the best are sought.
PEOPLE = 200
#: How far one may go through tags, and days of which their use counts for the order.
MOST_OFFSET, DAYS = 400, 7

_OWN = regex.compile(r"/@(?P<name>\w+)(?:/(?P<post>\d+))?/?|/tags/(?P<tag>[^/?#]+)/?")


async def find_posts(
    feed: Feed, reader_id: int | None, question: str, page: Range, *, offset: int = 0, author_id: int | None = None
) -> list[Post]:
    """Posts that a question asks for and that the reader may see, best first; see rules/search.py for both.

    What a reader doesn't see by a block or a mute isn't there, nor, unless they follow them, are the posts of who
    doesn't want to be found. Public posts are for all; others for their authors, who they mention, and unless they are
    direct for who follows.
    """
    asked = rules.read(question)
    if asked.nothing:
        return []
    hidden = await relations_of(feed, reader_id)
    now = time()
    away = [each for each in {*hidden.blocks, *hidden.blocked, *hidden.mutes} if hides(each, hidden, now)]
    async with feed.db.read() as tx:
        names = (asked.by | asked.not_by) - {"me"}
        accounts = await search.list_account_ids(tx, names) if names else {}
        if reader_id is not None:
            accounts["me"] = reader_id
        sought = rules.ask(asked, accounts, page, author_id)
        if sought is None:
            return []
        matches = await _candidates(tx, sought, Scope(reader_id=reader_id, hidden=away))
    ids = rules.order(matches, now)[offset : offset + page.limit]
    return await _wanting_to_be_found(feed, await visible(feed, ids, reader_id), reader_id)


async def _candidates(tx: Tx, question: Question, scope: Scope) -> list[Match]:
    """The newest matches, in two steps of which each is bounded, however frequent or rare they are."""
    most = rules.CANDIDATES
    tried = await search.try_newest(tx, question, scope, depth=rules.SAMPLE, most=most)
    if tried.seen < rules.SAMPLE or len(tried.matches) >= most:
        return tried.matches
    if rules.worth_index(tried, question):
        return await search.list_matches(tx, question, scope, most=most)
    left = most - len(tried.matches)
    older = await search.list_newest(tx, question, scope, below=tried.lowest, depth=rules.DEPTH, most=left)
    return [*tried.matches, *older]


async def _wanting_to_be_found(feed: Feed, posts: Sequence[Post], reader_id: int | None) -> list[Post]:
    authors = await feed.accounts.get_many({post.author_id for post in posts})
    shy = {each.id for each in authors.values() if not each.discoverable} - {reader_id}
    if shy and reader_id is not None:
        async with feed.db.read(fresh=True) as tx:
            shy -= await relations.list_followed(tx, reader_id, sorted(shy))
    return [
        post for post in posts if post.author_id not in shy or any(mention.id == reader_id for mention in post.mentions)
    ]


async def find_people(
    feed: Feed, reader_id: int | None, question: str, *, limit: int, offset: int = 0, following: bool = False
) -> list[Account]:
    """Accounts by parts of their names: those first whose names begin so, of these those that the reader follows."""
    name, _, host = rules.tidied(question).removeprefix("@").partition("@")
    if host and host.lower() not in own_hosts(feed):
        return []
    names = rules.read_names(name)
    if names is None or (following and reader_id is None):
        return []
    async with feed.db.read() as tx:
        found = await search.list_people(tx, names, reader_id, followed_only=following, most=PEOPLE)
    hidden = await relations_of(feed, reader_id)
    away = hidden.blocks | hidden.blocked
    ids = [each for each in rules.order_people(found, names) if each not in away]
    return await read_many(feed, ids[offset : offset + limit])


async def find_tags(feed: Feed, question: str, *, limit: int, offset: int = 0) -> list[str]:
    """Tags that begin so, in lower case."""
    prefix = rules.tidied(question).removeprefix("#").lower()
    if not is_tag(prefix) or offset > MOST_OFFSET:
        return []
    since = datetime.now(UTC) - timedelta(days=DAYS)
    async with feed.db.read() as tx:
        return await search.list_tags(tx, prefix, rules.past(prefix), since, limit=limit, offset=offset)


class Resolved(msgspec.Struct, frozen=True):
    """What an address of ours is of."""

    account: Account | None = None
    post: Post | None = None
    tag: str | None = None


async def resolve(feed: Feed, reader_id: int | None, question: str) -> Resolved | None:
    """What a question that is an address of this instance leads to; None when it is another question.

    Nothing is in it when there is no such thing, or it is not for the reader.
    """
    address = question.strip()
    if not address.startswith(f"{feed.url}/"):
        return None
    found = _OWN.fullmatch(address.removeprefix(feed.url).partition("?")[0])
    if found is None:
        return Resolved()
    try:
        if found["tag"] is not None:
            tag = unquote(found["tag"]).lower()
            return Resolved(tag=tag if is_tag(tag) else None)
        if found["post"] is None:
            return Resolved(account=await look_up(feed, found["name"]))
        number = read_id(found["post"])
        return Resolved() if number is None else Resolved(post=await find_visible(feed, number, reader_id))
    except (AccountNotFound, PostNotFound):
        return Resolved()
