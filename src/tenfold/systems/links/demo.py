"""Believable content: an account's links and a month of clicks, made through the actions and the event bus."""

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import batched

from tenfold.contracts.links import Click, LinksClicked
from tenfold.platform.demo import DEMO_NAME, demo_account
from tenfold.platform.identity import Principal
from tenfold.systems.links.actions import making, reading
from tenfold.systems.links.errors import AliasTaken, LinkNotFound
from tenfold.systems.links.state import LinksState
from tenfold.systems.links.types import ShortenLink

#: Alias, address, title, tags, clicks a day.
LINKS = (
    ("python", "https://www.python.org/", "Python", ["language"], 70),
    ("pg-docs", "https://www.postgresql.org/docs/current/", "PostgreSQL manual", ["database", "docs"], 55),
    ("valkey", "https://valkey.io/topics/", "Valkey topics", ["database", "docs"], 30),
    ("jetstream", "https://docs.nats.io/nats-concepts/jetstream", "JetStream concepts", ["events", "docs"], 24),
    ("rfc9457", "https://www.rfc-editor.org/rfc/rfc9457.html", "Problem details for HTTP APIs", ["standard"], 12),
    ("raft-paper", "https://raft.github.io/raft.pdf", "In search of an understandable consensus", ["paper"], 18),
    ("dynamo", "https://www.allthingsdistributed.com/files/amazon-dynamo-sosp2007.pdf", "Dynamo", ["paper"], 15),
    ("hyperloglog", "https://algo.inria.fr/flajolet/Publications/FlFuGaMe07.pdf", "HyperLogLog", ["paper"], 9),
    ("osm", "https://www.openstreetmap.org/", "OpenStreetMap", ["map"], 40),
    ("talk-2026", "https://example.org/talks/2026/ten-systems", "Slides of the talk", ["talk"], 85),
)
COUNTRIES = (("US", 30), ("DE", 14), ("IN", 13), ("GB", 8), ("BR", 7), ("FR", 6), ("JP", 6), ("CA", 5), ("NL", 4),
             ("PL", 3), ("NG", 2), ("KR", 2))  # fmt: skip
REFERRERS = (("", 40), ("news.ycombinator.com", 18), ("google.com", 16), ("github.com", 9), ("reddit.com", 7),
             ("lobste.rs", 5), ("linkedin.com", 5))  # fmt: skip
_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
_SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6"
AGENTS = (
    (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36", 34),
    (f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {_SAFARI} Mobile/15E148 Safari/604.1", 22),
    (f"Mozilla/5.0 (Linux; Android 16; Pixel 9) {_CHROME} Mobile Safari/537.36", 16),
    (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_SAFARI} Safari/605.1.15", 12),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0", 9),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", 4),
    ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", 3),
)
DAYS = 30


async def demo(state: LinksState) -> str:
    """Make ten links and their clicks, unless they are there. Says how to look at them."""
    account, password = await demo_account(state.runtime)
    principal = Principal(account_id=account.id, name=account.name, tier=account.tier)
    how = f"sign in as {DEMO_NAME} with the password {password}"
    try:
        await reading.read(state.links, LINKS[-1][0], principal)
    except LinkNotFound:
        pass
    else:
        return f"is there already; {how}"
    # Clicks first, under ids that stay the same: a demo that was interrupted and is begun again counts none twice.
    clicks = list(_clicks(account.id, datetime.now(UTC)))
    for number, some in enumerate(batched(clicks, 500)):
        event = LinksClicked(clicks=list(some))
        await state.runtime.bus.publish(event, id=f"demo-links-{account.id}-{number}")
    for alias, url, title, tags, _ in LINKS:
        with suppress(AliasTaken):
            await making.shorten(state.links, ShortenLink(url=url, alias=alias, title=title, tags=tags), principal)
    return f"{len(LINKS)} links, {len(clicks):,} clicks; {how}"


def _clicks(owner_id: int, now: datetime) -> Iterator[Click]:
    dice = random.Random(62)
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    for hours in range(DAYS * 24):
        hour = start + timedelta(hours=hours)
        awake = 0.35 + 0.65 * max(0.0, 1 - abs(hour.hour - 15) / 9)
        weekday = 1.0 if hour.weekday() < 5 else 0.55
        growth = 0.5 + hours / (DAYS * 24)
        for alias, _, _, _, daily in LINKS:
            rate = daily / 24 * awake * weekday * growth * 1.6
            for _ in range(int(rate) + (dice.random() < rate % 1)):
                yield Click(
                    alias,
                    hour.timestamp() + dice.random() * 3600,
                    owner_id,
                    dice.randrange(1 + int(daily * 0.8)),  # some come back the same day
                    _pick(dice, COUNTRIES),
                    _pick(dice, REFERRERS),
                    _pick(dice, AGENTS),
                )


def _pick(dice: random.Random, weighted: tuple[tuple[str, int], ...]) -> str:
    return dice.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]
