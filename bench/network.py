"""A social network of any size, the same each time, written straight into the tables of the feed."""

import random
import time
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate

from tenfold.platform.db import Database
from tenfold.platform.identity.passwords import NOBODY
from tenfold.platform.ids import first_id
from tenfold.systems.feed.rules import search
from tenfold.systems.feed.types import Post

#: Words as people use them: the n-th most common one 1/n as often as the first. Made up, so that nobody is quoted.
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "xi")
TAGS = 500


@dataclass(frozen=True)
class Network:
    """How much of everything.

    `writers` post and read; `silent` accounts only follow, so that the largest audience can be larger than the writers.
    The last `avid` writers follow up to `most` others each, everybody else some dozens.
    """

    writers: int
    silent: int
    follows: int
    largest: int
    posts: int
    avid: int = 40
    most: int = 5000
    days: int = 30
    words: int = 20_000

    @property
    def accounts(self) -> int:
        return self.writers + self.silent

    def id_of(self, number: int) -> int:
        """The id of an account, counted from 0, the most followed first."""
        return _FIRST + number

    def name_of(self, number: int) -> str:
        return f"person{number}"

    def avid_readers(self) -> list[int]:
        """Accounts that follow more than a tenth of `most`, up to all of it."""
        return list(range(self.writers - self.avid, self.writers))

    def followers(self) -> list[int]:
        """How many follow each writer: a power law from `largest` down, whose sum is about `follows`.

        The exponent is found by bisection, since the largest and the sum are given.
        """
        low, high = 0.01, 3.0
        for _ in range(60):
            middle = (low + high) / 2
            total = sum(self.largest / (rank + 1) ** middle for rank in range(self.writers))
            low, high = (middle, high) if total > self.follows else (low, middle)
        return [max(1, round(self.largest / (rank + 1) ** high)) for rank in range(self.writers)]


#: Account ids begin here: as old as the network itself.
_FIRST = first_id(datetime(2025, 6, 1, tzinfo=UTC).timestamp())


async def fill(db: Database, network: Network) -> None:
    """Write accounts, follows and posts. Deterministic but for the time that it is now."""
    async with db.session() as tx:
        await tx.execute(
            """INSERT INTO feed.account (id, username, display_name)
               SELECT $1::bigint + n, 'person' || n, 'Person ' || n FROM generate_series(0, $2::int - 1) n""",
            _FIRST, network.accounts,
        )  # fmt: skip
        await tx.script(
            """INSERT INTO feed.username (name, account_id) SELECT username, id FROM feed.account;
               INSERT INTO feed.account_words (account_id, words)
               SELECT id, lower(username || ' ' || display_name) FROM feed.account"""
        )
        await tx.execute(
            """INSERT INTO platform.account (id, name, display_name, tier, password_hash)
               SELECT id, username, display_name, 'enterprise', $2 FROM feed.account WHERE id < $1""",
            network.id_of(network.writers), NOBODY,
        )  # fmt: skip
        await tx.execute(
            """INSERT INTO platform.account_name (name, account_id)
               SELECT name, id FROM platform.account ON CONFLICT DO NOTHING"""
        )
        await tx.copy("feed.follower", ("followee_id", "follower_id"), follows(network))
        await tx.script(
            """INSERT INTO feed.following (follower_id, followee_id)
               SELECT follower_id, followee_id FROM feed.follower ORDER BY 1, 2;
               INSERT INTO feed.account_count (account_id, followers, following)
               SELECT a.id, coalesce(f.count, 0), coalesce(g.count, 0) FROM feed.account a
               LEFT JOIN (SELECT followee_id AS id, count(*) FROM feed.follower GROUP BY 1) f ON f.id = a.id
               LEFT JOIN (SELECT follower_id AS id, count(*) FROM feed.following GROUP BY 1) g ON g.id = a.id"""
        )
        # The index is made again when all is there, which takes a tenth of the time. COPY sends binary, for which a
        # tsvector has no form here: so it goes as text, through a table of its own.
        await tx.script(
            """DROP INDEX feed.post_search;
               CREATE TEMPORARY TABLE written (id bigint, author_id bigint, text text, tags text[],
                                               created_at timestamptz, words text)"""
        )
        await tx.copy("written", ("id", "author_id", "text", "tags", "created_at", "words"), posts(network))
        await tx.script(
            """INSERT INTO feed.post (id, author_id, text, visibility, conversation_id, tags, created_at, search)
               SELECT id, author_id, text, 'public', id, tags, created_at, words::tsvector FROM written ORDER BY id;
               SET maintenance_work_mem = '512MB';
               CREATE INDEX post_search ON feed.post USING gin (search) WITH (fastupdate = off)
               WHERE search IS NOT NULL;
               INSERT INTO feed.post_count (post_id) SELECT id FROM written ORDER BY id;
               INSERT INTO feed.authored (author_id, post_id, visibility, reply, media, tags)
               SELECT author_id, id, 'public', false, false, tags FROM written ORDER BY 1, 2;
               INSERT INTO feed.tagged (tag, post_id, author_id, media)
               SELECT tag, id, author_id, false FROM written, unnest(tags) tag ORDER BY 1, 2;
               UPDATE feed.account_count c SET statuses = p.count, last_status_at = p.last
               FROM (SELECT author_id, count(*), max(created_at)::date AS last FROM written GROUP BY 1) p
               WHERE p.author_id = c.account_id;
               DROP TABLE written"""
        )
        for table in ("account", "account_count", "follower", "following", "post", "post_count", "authored", "tagged"):
            await tx.execute(f"VACUUM ANALYZE feed.{table}")


def follows(network: Network) -> Iterator[tuple[int, int]]:
    """(followee, follower), sorted. Writers follow the popular and each other; the silent only the most popular."""
    dice = random.Random(5)
    avid: dict[int, list[int]] = defaultdict(list)
    for place, reader in enumerate(network.avid_readers(), 1):
        others = range(network.writers - network.avid)
        for number in dice.sample(others, int(min(len(others), network.most) * (0.1 + 0.9 * place / network.avid))):
            avid[number].append(reader)
    for number, count in enumerate(network.followers()):
        # A writer reads more than somebody silent does, unless an audience needs everybody.
        among = network.accounts if count > network.writers // 2 else network.writers
        chosen_ = dice.sample(range(among), min(count + 1, among))
        account = network.id_of(number)
        for follower in sorted({each for each in chosen_ if each != number} | set(avid[number])):
            yield account, network.id_of(follower)


def posts(network: Network) -> Iterator[tuple[int, int, str, list[str], datetime, str]]:
    """Posts of the last days, oldest first, of writers at random, some of whom write ten times as much as others."""
    dice = random.Random(6)
    weights = list(accumulate(1 / (rank + 1) for rank in range(network.words)))
    now = time.time()
    start, step = now - network.days * 86_400, network.days * 86_400 / network.posts
    for number in range(network.posts):
        at = start + number * step
        author = network.id_of(int(network.writers * dice.random() ** 1.5))
        text = " ".join(word(bisect(weights, dice.random() * weights[-1])) for _ in range(dice.randrange(6, 28)))
        tags = [f"tag{int(TAGS * dice.random() ** 2)}"] if dice.random() < 0.15 else []
        text += "".join(f" #{tag}" for tag in tags)
        post_id, created_at = first_id(at) + number % 4096, datetime.fromtimestamp(at, UTC)
        post = Post(
            id=post_id, author_id=author, text=text, spoiler_text="", visibility="public", sensitive=False,
            language=None, in_reply_to_id=None, in_reply_to_account_id=None, conversation_id=post_id,
            reblog_of_id=None, mentions=[], tags=tags, media=[], application=None, created_at=created_at,
            edited_at=None, favourites=0, reblogs=0, replies=0,
        )  # fmt: skip
        yield post_id, author, text, tags, created_at, search.words(post)


@lru_cache(None)
def word(number: int) -> str:
    """The n-th word: two to five syllables."""
    parts, rest = [], number + len(SYLLABLES)
    while rest:
        rest, syllable = divmod(rest, len(SYLLABLES))
        parts.append(SYLLABLES[syllable])
    return "".join(parts)
