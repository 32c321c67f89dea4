"""Home timelines through the whole: whatever people do, a home holds what it would hold if it were computed anew."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.platform.errors import TenfoldError
from tenfold.platform.identity.actions import create_account
from tenfold.systems.feed.actions import posts, relations, timelines
from tenfold.systems.feed.actions.context import Feed
from tenfold.systems.feed.actions.posts import WritePost
from tenfold.systems.feed.settings import FeedSettings
from tenfold.systems.feed.store import accounts as account_store
from tenfold.systems.feed.types import Account, Range
from tenfold.systems.links.settings import LinksSettings

PEOPLE = 4
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["follow", "follow", "unfollow", "block", "unblock", "mute", "unmute"]),
            st.integers(0, PEOPLE - 1),
            st.integers(0, PEOPLE - 1),
        ),
        st.tuples(st.sampled_from(["post", "post", "lapse", "read"]), st.integers(0, PEOPLE - 1), st.just(0)),
        st.tuples(st.sampled_from(["repost", "reply", "delete"]), st.integers(0, PEOPLE - 1), st.integers(0, 12)),
    ),
    max_size=14,
)


@dataclass
class Written:
    id: int
    author: int
    of: "Written | None" = None
    answers: int | None = None


@dataclass
class Model:
    """The same network in a few lines, where a home is computed from nothing."""

    follows: set[tuple[int, int]] = field(default_factory=set)
    blocks: set[tuple[int, int]] = field(default_factory=set)
    mutes: set[tuple[int, int]] = field(default_factory=set)
    posts: list[Written] = field(default_factory=list)

    def parted(self, one: int, other: int) -> bool:
        return (one, other) in self.blocks or (other, one) in self.blocks

    def home(self, reader: int) -> list[int]:
        def hides(other: int) -> bool:
            return (reader, other) in self.mutes or self.parted(reader, other)

        def shows(post: Written) -> bool:
            own = post.author == reader
            if not own and (reader, post.author) not in self.follows:
                return False
            if hides(post.author) or (post.of is not None and hides(post.of.author)):
                return False
            known = post.answers in (None, post.author, reader) or (reader, post.answers) in self.follows
            return own or known

        return sorted((post.id for post in self.posts if shows(post)), reverse=True)


@dataclass
class Network:
    """People of one example, in the real thing and in the model."""

    feed: Feed
    people: list[Account]
    model: Model = field(default_factory=Model)

    async def do(self, what: str, who: int, what_with: int) -> None:
        feed, me, model = self.feed, self.people[who], self.model
        if what in ("follow", "unfollow", "block", "unblock", "mute", "unmute"):
            if who == what_with:
                return
            other = self.people[what_with].id
            pair = (who, what_with)
            if what == "follow":
                if model.parted(*pair):
                    with pytest.raises(TenfoldError):
                        await relations.follow(feed, me, other)
                    return
                model.follows.add(pair)
            elif what == "unfollow":
                model.follows.discard(pair)
            elif what == "block":
                model.blocks.add(pair)
                model.follows -= {pair, pair[::-1]}
            elif what == "unblock":
                model.blocks.discard(pair)
            elif what == "mute":
                model.mutes.add(pair)
            else:
                model.mutes.discard(pair)
            await getattr(relations, what)(feed, me, other)
        elif what == "post":
            post = await posts.publish(feed, me, WritePost(status="hello"))
            model.posts.append(Written(post.id, who))
        elif what == "lapse":
            await feed.timelines.drop([me.id])
        elif what == "read":
            await timelines.read_home(feed, me.id, Range())
        elif model.posts:
            await self.answer(what, who, model.posts[what_with % len(model.posts)])

    async def answer(self, what: str, who: int, post: Written) -> None:
        feed, me, model = self.feed, self.people[who], self.model
        if what == "delete":
            if post.author == who:
                await posts.delete(feed, me, post.id)
                model.posts = [each for each in model.posts if each is not post and each.of is not post]
            return
        original = post.of or post
        if model.parted(who, original.author) or (what == "reply" and model.parted(who, post.author)):
            return
        if what == "repost":
            if any(each.of is original and each.author == who for each in model.posts):
                return
            made = await posts.repost(feed, me, original.id)
            model.posts.append(Written(made.id, who, of=original))
        else:
            made = await posts.publish(feed, me, WritePost(status="yes", in_reply_to_id=str(original.id)))
            model.posts.append(Written(made.id, who, answers=original.author))


@pytest.fixture
async def feed(stack_with: Callable[..., AbstractAsyncContextManager[Any]], request: Any) -> Any:
    """A network where two followers make a celebrity, and five a big audience."""
    systems = {"feed": FeedSettings(celebrity_followers=2, fan_out_piece=2), "links": LinksSettings()}
    async with stack_with(systems=systems) as stack:
        yield stack


async def people(stack: Any, count: int, names: str) -> list[Account]:
    feed: Feed = stack.state("feed").feed
    made = []
    for number in range(count):
        name = f"{names}_{number}"
        account = await create_account(feed.identity, name, "correct horse battery")
        async with feed.db.transaction() as tx:
            await account_store.insert_account(tx, account.id, name, name)
        made.append(account.id)
    found = await feed.accounts.get_many(made)
    return [found[each] for each in made]


EXAMPLES = iter(range(1_000_000))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=STEPS, page=st.integers(1, 6))
async def test_a_home_is_what_it_would_be_if_computed_anew(
    feed: Any, steps: list[tuple[str, int, int]], page: int
) -> None:
    """Follows, posts, reposts, replies, deletes, blocks, mutes and threshold crossings in any order."""
    network = Network(feed.state("feed").feed, await people(feed, PEOPLE, f"p{next(EXAMPLES)}"))
    for what, who, what_with in steps:
        network.people = [await refreshed(network.feed, each) for each in network.people]
        await network.do(what, who, what_with)
        if what in ("follow", "unfollow", "block"):
            await feed.settle()  # counts, and with them celebrities, follow behind
    await feed.settle()
    for number, person in enumerate(network.people):
        seen: list[int] = []
        found = await timelines.read_home(network.feed, person.id, Range(limit=page))
        while found:
            seen += [post.id for post in found]
            found = await timelines.read_home(network.feed, person.id, Range(limit=page, max_id=seen[-1]))
        assert seen == network.model.home(number), f"home of {number} after {steps}"


async def refreshed(feed: Feed, account: Account) -> Account:
    found = await feed.accounts.get(account.id)
    assert found is not None
    return found


@pytest.mark.parametrize("path", ["%00", "a%00b", "%20", "ok?any[]=%00"])
async def test_nothing_stands_under_what_cannot_be_a_tag(stranger: Any, path: str) -> None:
    found = await stranger.get(f"/feed/api/v1/timelines/tag/{path}")
    assert (found.status_code, found.json()) == (200, [])
