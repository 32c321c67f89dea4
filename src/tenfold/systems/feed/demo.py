"""Believable content: a dozen accounts that write about things, a week of posts, and what they make of each other's."""

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec

from tenfold.platform.demo import DEMO_NAME, demo_account
from tenfold.platform.errors import TenfoldError
from tenfold.platform.identity import Principal
from tenfold.systems.feed.actions import accounts, imports, marks, posts
from tenfold.systems.feed.actions.context import account_of
from tenfold.systems.feed.actions.posts import WritePost
from tenfold.systems.feed.state import FeedState
from tenfold.systems.feed.types import Account, Range

#: Username, display name, note, posts.
VOICES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("tide_watch", "Tide Watch", "High water, low water, and what the wind does to both. #sea", (
        "Spring tide tonight: 4.8 m at 21:40. Tie your boat with a longer line than you think. #sea",
        "The gauge at the pier read 12 cm above forecast. South-westerly since noon, as usual.",
        "A storm surge is a long wave with bad manners. #sea #weather",
    )),
    ("slow_bread", "Slow Bread", "Flour, water, salt and patience. #bread", (
        "Second rise in the fridge, 14 hours. The crust sings when it comes out. #bread",
        "If the dough sticks to everything, wet your hands, not the dough. #bread #kitchen",
        "Day three of the rye starter. It smells of apples, which is right.",
    )),
    ("query_plan", "Query Plan", "What the database did, and why it was not what you meant. #postgres", (
        "A sequential scan is not an insult. On 200 rows it is the fastest thing there is. #postgres",
        "Today: 40 s to 12 ms by moving one condition from HAVING to WHERE. #postgres #performance",
        "VACUUM is not garbage collection you forgot. It is a promise you made to your indexes. #postgres",
        "The index was there. The cast in the WHERE clause made sure that nobody used it. #postgres",
    )),
    ("night_sky", "Night Sky", "What is up tonight, for the naked eye. #astronomy", (
        "Jupiter is the bright one in the east after ten. A pair of binoculars shows four moons. #astronomy",
        "New moon this week: the Milky Way from any field that is 30 km from a town. #astronomy",
        "The Leonids are past their peak, but a late one crossed half the sky at 02:10. #astronomy",
    )),
    ("rail_notes", "Rail Notes", "Timetables are literature. #trains", (
        "Change at a station with a clock tower, never at one with a shopping centre. #trains",
        "The night train was 4 minutes early. The conductor apologised. #trains",
        "A good connection is eleven minutes: enough for coffee, not for doubt. #trains",
    )),
    ("small_kernels", "Small Kernels", "Caches, queues, schedulers. #performance", (
        "Latency has a shape. If your dashboard shows one number, it shows the wrong one. #performance",
        "Measured: batching 50 writes made each of them slower and all of them faster. #performance",
        "A cache is a promise about the past. #performance #systems",
        "Half of tuning is deleting the thing that was added to make it fast. #systems",
    )),
    ("field_guide", "Field Guide", "Birds, mostly. #birds", (
        "Eleven waxwings in the rowan by the car park. They stay until the berries are gone. #birds",
        "The robin sings in November because the territory is worth it. #birds",
        "A heron is a grey statue with opinions about fish. #birds",
    )),
    ("paper_maps", "Paper Maps", "Contours and folds. #maps", (
        "You can fold a map wrong four ways. All of them hide the junction you need. #maps",
        "The footpath is older than the road, which is why it is shorter. #maps #walking",
        "Contours: where they touch, bring a rope. #maps",
    )),
    ("type_case", "Type Case", "Letters, set by hand and otherwise. #typography", (
        "Line length matters more than the typeface. 66 characters, give or take. #typography",
        "Old-style figures in text, lining figures in tables. Nobody notices, everybody reads on. #typography",
        "The em dash is not a lifestyle. #typography",
    )),
    ("allotment_9", "Allotment Nine", "Ten by twenty metres of opinions. #garden", (
        "Garlic goes in now, before the ground is hard. Point up, two thumbs deep. #garden",
        "First frost. The kale is better for it, the dahlias are soup. #garden #weather",
        "Compost is a slow fire that you feed with cardboard. #garden",
    )),
)  # fmt: skip
#: What the demo account says itself.
OWN = (
    "Set this up in one command. The engines are real, the page is mine. #tenfold",
    "Reading what happens to a post between the button and a follower's home. #tenfold #systems",
)
ANSWERS = (
    "This. Exactly this.",
    "How long did that take you to find out?",
    "Noted, and borrowed.",
    "Same here since Tuesday.",
)
DAYS = 6


async def demo(state: FeedState) -> str:
    """Make accounts, follows, posts, likes and answers, unless they are there. Says how to look at them."""
    feed = state.feed
    owner, password = await demo_account(state.runtime)
    how = f"sign in as {DEMO_NAME} with the password {password}"
    me = await account_of(feed, Principal(account_id=owner.id, name=owner.name, tier=owner.tier, scopes=frozenset("*")))
    if (await accounts.read_posts(feed, me.id, me.id, Range(limit=1))).posts:
        return f"is there already; {how}"
    done = await imports.import_graph(feed, (msgspec.json.encode(line) for line in _lines(datetime.now(UTC))))
    dice = random.Random(280)
    voices = [await accounts.look_up(feed, name) for name, *_ in VOICES]
    written = [
        post for voice in voices for post in (await accounts.read_posts(feed, voice.id, None, Range(limit=40))).posts
    ]
    await _react(state, dice, [*voices, me], [post.id for post in written])
    for text in OWN:
        await posts.publish(feed, me, WritePost(status=text))
    return f"{done.accounts} accounts, {done.posts + len(OWN)} posts, {done.follows} follows; {how}"


async def _react(state: FeedState, dice: random.Random, people: list[Account], post_ids: list[int]) -> None:
    """Likes for many posts, reposts for some, answers for a few."""
    for post_id in post_ids:
        for person in dice.sample(people, dice.randrange(len(people))):
            with suppress(TenfoldError):
                await marks.mark(state.feed, person, post_id, "favourite", on=True)
        if dice.random() < 0.3:
            await posts.repost(state.feed, dice.choice(people), post_id)
        if dice.random() < 0.25:
            wish = WritePost(status=dice.choice(ANSWERS), in_reply_to_id=str(post_id))
            await posts.publish(state.feed, dice.choice(people), wish)


def _lines(now: datetime) -> Iterator[dict[str, str]]:
    """The graph and the posts as the import reads them."""
    dice = random.Random(140)
    names = [name for name, *_ in VOICES]
    for name, display_name, note, _ in VOICES:
        yield {"type": "account", "username": name, "display_name": display_name, "note": note}
    for name in names:
        yield {"type": "follow", "follower": DEMO_NAME, "followee": name}
        for other in dice.sample(names, dice.randrange(3, len(names))):
            if other != name:
                yield {"type": "follow", "follower": name, "followee": other}
        if dice.random() < 0.6:
            yield {"type": "follow", "follower": name, "followee": DEMO_NAME}
    texts = [(name, text) for name, _, _, said in VOICES for text in said]
    dice.shuffle(texts)
    step = timedelta(days=DAYS) / len(texts)
    for number, (name, text) in enumerate(texts):
        at = now - timedelta(days=DAYS) + step * number + dice.random() * step
        yield {"type": "post", "author": name, "text": text, "at": at.isoformat()}
