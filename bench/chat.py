"""What chat claims, measured: `tenfold bench chat`.

The gateway alone stands before an endpoint that answers at once; with a model, the same llama.cpp is asked directly in
turn with the gateway, so that what is added is seen and not what the model takes.
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path

import aiohttp
import msgspec

import load
import measure
from apps import upstream
from house import House, command, open_house
from measure import OTHERS, OURS, Program, Report, Row, free_port, median, quantile
from tenfold.platform.engines.llama import Llama, cores
from tenfold.platform.models import Models

LIMITS = {"chat.ask": "1000000/second", "chat.embed": "1000000/second"}
#: A model of the manifest that the parts with a real one use.
MODEL = "qwen2.5-coder-0.5b"
PEER = (
    "A widely used OpenAI proxy adds 9.8-13 ms at p50 and does 76-118 requests/s a worker"
    " (measured elsewhere on this kind of machine)."
)
#: Words of prompts.
TEXT = (
    "the river carries stones from hills to plains and leaves them where it slows so that after ten thousand years "
    "a town stands on gravel which was once a mountain while people who live there dig wells and rarely ask"
)
#: The tokens by which the model ends what it says (<|endoftext|>, <|im_end|>): rates are of answers of one length.
ENDLESS = {"151643": -100.0, "151645": -100.0}
#: Seconds between two requests that are open at once.
APART = 0.02
KEY = "a-key-of-the-endpoints"
PATH = "/chat/v1/chat/completions"


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    rounds: int
    #: Seconds of a turn at full load.
    turn: float
    #: First tokens that are timed at one request at once; at 16 four times as many.
    firsts: int
    #: Tokens of an answer whose rate is measured.
    tokens: int
    streams: int


FULL = Size(rounds=5, turn=3, firsts=40, tokens=80, streams=1000)
QUICK = Size(rounds=2, turn=1, firsts=10, tokens=24, streams=200)


@dataclass(frozen=True)
class Desk:
    house: House
    report: Report
    size: Size

    @property
    def model(self) -> Path:
        models = Models(Path(os.environ.get("TENFOLD_MODELS", "var/models")))
        if not models.present(MODEL):
            raise SystemExit(f"The benchmark needs the model: tenfold models pull {MODEL}")
        return models.path(MODEL).absolute()

    def instant(self, port: int) -> AbstractAsyncContextManager[Program]:
        app, log = Path(__file__).parent / "apps" / "upstream.py", self.house.folder / "upstream.log"
        return measure.running((str(app), str(port)), cores=OTHERS, log=log)

    def web(self, *urls: str, model: str = "", slots: int = 10_000) -> AbstractAsyncContextManager[Program]:
        """The gateway, in front of these."""
        endpoints = [{"url": url, "model": model, "slots": slots, "key": KEY} for url in urls]
        return self.house.web(tiers=msgspec.json.encode({"fast": {"endpoints": endpoints}}).decode())


def asked(text: str, *, stream: bool, tokens: int = 64, **more: object) -> dict[str, object]:
    return {
        "model": "fast",
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
        "max_tokens": tokens,
        **more,
    }


def request(body: dict[str, object], key: str) -> bytes:
    encoded = msgspec.json.encode(body)
    lines = (
        f"POST {PATH} HTTP/1.1", "Host: localhost", "User-Agent: bench/1.0", "Accept: application/json",
        f"Authorization: Bearer {key}", "Content-Type: application/json", f"Content-Length: {len(encoded)}", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + encoded


# 1: the gateway alone


async def gateway(desk: Desk) -> None:
    """Requests a second in front of an endpoint that answers at once, all on one core."""
    house, report, size = desk.house, desk.report, desk.size
    port = free_port()
    async with desk.instant(port) as instant:
        await measure.answers(instant, port)
        async with desk.web(f"http://127.0.0.1:{port}/v1") as web:
            for stream in (False, True):
                some = [request(asked(f"question {n}", stream=stream), house.key) for n in range(200)]
                file = load.keep(house.folder / "requests", some)
                ours: list[tuple[float, float]] = []
                for number in range(size.rounds + 1):
                    before = web.cpu
                    seen = await load.replay(house.port, file, seconds=size.turn if number else 1, connections=32)
                    if number:
                        ours.append((seen.rate, seen.answered / (web.cpu - before)))
                direct = await load.replay(port, file, seconds=size.turn, connections=32)
                rate = median(each for each, _ in ours)
                what = f"streams of {upstream.WORDS} pieces" if stream else "requests"
                report.add(Row(
                    claim=f"Chat completions through the gateway alone, {what}, one core", measured=rate, unit="/s",
                    limit=direct.rate, limit_of="the endpoint itself, which shares its core with the generator",
                    wanted=">= 1,000/s", met=rate >= 1000,
                ))  # fmt: skip
                report.add(Row(
                    claim="... for each second of processor time",
                    measured=median(each for _, each in ours), unit="/s",
                ))  # fmt: skip
            report.figures["gateway_requests_per_core"] = rate
            async with client(house.port, house.key) as ours, client(port, KEY, "/v1/chat/completions") as direct:
                found: dict[str, list[float]] = {"ours": [], "direct": []}
                for _ in range(size.rounds * 4):
                    for name, ask in (("ours", ours), ("direct", direct)):
                        heard = await together(ask, [f"question {n}" for n in range(16)], tokens=4)
                        found[name] += [each.first * 1000 for each in heard]
            added = median(found["ours"]) - median(found["direct"])
            report.add(Row(
                claim="First token later through the gateway, 16 at once, the endpoint answers at once, p50",
                measured=added, unit="ms", wanted="< 15 ms", met=added < 15,
                note=f"p95 {quantile(sorted(found['ours']), 0.95) - quantile(sorted(found['direct']), 0.95):.1f} ms.",
            ))  # fmt: skip


# 2: with a model, asked directly and through the gateway in turn


@asynccontextmanager
async def llamas(desk: Desk, number: int = 1, *, slots: int = 16) -> AsyncIterator[list[str]]:
    """llama.cpp with the model, as many times; their addresses up to /v1."""
    os.sched_setaffinity(0, OURS | OTHERS)  # a model takes what there is, and steps back for others
    folder, threads = desk.house.folder, max(1, cores() // number)  # as `tenfold up` shares them
    engines = [
        Llama(folder / f"llama-{n}", KEY, model=desk.model, serves=MODEL, slots=slots, context=2048, threads=threads)
        for n in range(number)
    ]
    try:
        for engine in engines:
            await engine.start()
        os.sched_setaffinity(0, OTHERS)
        yield [f"{engine.url}/v1" for engine in engines]
    finally:
        for engine in engines:
            await engine.stop()


def prompt(words: int, seed: int) -> str:
    """So many words in an order that no cache has seen. All of a length are of the same tokens."""
    some = list(islice(cycle(TEXT.split()), words))
    random.Random(seed).shuffle(some)
    return f"About {' '.join(some)}. What is this about?"


async def together(ask: "Ask", texts: Sequence[str], tokens: int) -> "list[Heard]":
    """Answers of so many tokens to all of these, asked shortly one after the other.

    Of those that are asked in the same millisecond it is chance which are in llama.cpp's first batch, and the others
    wait for half a second.
    """

    async def one(place: int, text: str) -> Heard:
        await asyncio.sleep(place * APART)
        return await ask(asked(text, stream=True, tokens=tokens, logit_bias=ENDLESS))

    return await asyncio.gather(*(one(place, text) for place, text in enumerate(texts)))


async def first_tokens(desk: Desk) -> None:
    """What the gateway adds to the first token, and what it keeps of the rate."""
    house, report, size = desk.house, desk.report, desk.size
    async with llamas(desk) as [url], desk.web(url, slots=16):
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with client(house.port, house.key) as ours, client(port, KEY, "/v1/chat/completions") as direct:
            seeds = count()
            for at_once, wanted in ((1, 5.0), (16, 15.0)):
                found: dict[str, list[float]] = {"ours": [], "direct": []}
                for _ in range(size.firsts * (4 if at_once > 1 else 1) // at_once):
                    for name, ask in (("ours", ours), ("direct", direct)):
                        texts = [prompt(20, next(seeds)) for _ in range(at_once)]
                        found[name] += [each.first * 1000 for each in await together(ask, texts, tokens=4)]
                added = median(found["ours"]) - median(found["direct"])
                report.add(Row(
                    claim=f"First token later through the gateway, {at_once} at once, p50", measured=added, unit="ms",
                    wanted=f"< {wanted:g} ms", met=added < wanted,
                    note=f"{median(found['ours']):,.1f} ms, asked directly {median(found['direct']):,.1f} ms.",
                ))  # fmt: skip
            alone = 0.0
            for at_once in (1, 4, 16):
                rates: dict[str, list[float]] = {"ours": [], "direct": []}
                tokens = size.tokens // (2 if at_once > 4 else 1)
                for _ in range(max(2, size.rounds // 2 + 1)):
                    for name, ask in (("ours", ours), ("direct", direct)):
                        began = time.perf_counter()
                        texts = [prompt(20, next(seeds)) for _ in range(at_once)]
                        heard = await together(ask, texts, tokens)
                        rates[name].append(sum(each.tokens for each in heard) / (time.perf_counter() - began))
                kept, limit = median(rates["ours"]), median(rates["direct"])
                report.add(Row(
                    claim=f"Tokens a second, {at_once} {'stream' if at_once == 1 else 'streams'}", measured=kept,
                    unit="/s", limit=limit, limit_of="the same llama.cpp asked directly", wanted="ratio >= 0.95",
                    met=kept >= 0.95 * limit,
                ))  # fmt: skip
                report.figures[f"tokens_per_second_{at_once}"] = kept
                alone = alone or kept
            report.add(Row(
                claim="Batching gain: tokens a second of 16 streams together, of one alone", measured=kept, unit="/s",
                limit=alone, limit_of="one alone",
            ))  # fmt: skip


async def long_prompt(desk: Desk) -> None:
    """How long somebody waits for the first word, where the model has the whole machine."""
    report, size = desk.report, desk.size
    async with (
        llamas(desk) as [url],
        desk.web(url, slots=16),
        client(desk.house.port, desk.house.key) as ask,
    ):
        bodies = [asked(prompt(150, 5000 + n), stream=True, tokens=4, logit_bias=ENDLESS) for n in range(size.firsts)]
        times = [(await ask(body)).first for body in bodies]
    late = quantile(sorted(times), 0.95)
    report.add(Row(
        claim=f"First token of a prompt of about 200 tokens, {MODEL}, p95", measured=late, unit="s",
        wanted="< 2 s", met=late < 2, note=f"p50 {median(times):.2f} s.",
    ))  # fmt: skip


async def turns(desk: Desk) -> None:
    """The second turn of conversations, at the replica that holds the first and anywhere."""
    house, report, size = desk.house, desk.report, desk.size
    async with (
        llamas(desk, 2, slots=8) as urls,
        desk.web(*urls, slots=8),
        client(house.port, house.key) as ask,
    ):
        found: dict[str, list[float]] = {"sticky": [], "anywhere": []}
        seeds = count(10_000)
        for _ in range(max(2, size.firsts // 10)):
            for name, times in found.items():
                talks = [prompt(300, next(seeds)) for _ in range(4)]
                random.shuffle(talks)
                for turn in range(2):
                    if turn and name == "anywhere":
                        talks = talks[1:] + talks[:1]  # others come first
                    some = []
                    for number, talk in enumerate(talks):
                        key = f"{name}{hash(talk)}" if name == "sticky" else f"{turn}{number}{next(seeds)}"
                        more = " And why?" if turn else ""
                        some.append(ask(asked(talk + more, stream=True, tokens=4, prompt_cache_key=key)))
                    heard = await asyncio.gather(*some)
                    if turn:
                        times += [each.first * 1000 for each in heard]
        report.add(Row(
            claim="First token of a follow-up, 4 conversations over 2 replicas, p50", measured=median(found["sticky"]),
            unit="ms", limit=median(found["anywhere"]), limit_of="without stickiness",
        ))  # fmt: skip


# 3: a thousand open streams


async def held(desk: Desk) -> None:
    """Many streams at once that say a word a second."""
    house, report, size = desk.house, desk.report, desk.size
    port = free_port()
    async with desk.instant(port) as instant:
        await measure.answers(instant, port)
        async with desk.web(f"http://127.0.0.1:{port}/v1", model="trickle") as web:
            empty, cpu = measure.memory(web.pid), web.cpu
            async with client(house.port, house.key) as ask:
                began = time.perf_counter()
                running = [asyncio.create_task(ask(asked(f"q {n}", stream=True))) for n in range(size.streams)]
                await asyncio.sleep(upstream.TRICKLED * upstream.PAUSE / 2)
                full = measure.memory(web.pid)
                streams = await asyncio.gather(*running)
            lasted = time.perf_counter() - began
            whole = sum(len(each.times) >= upstream.TRICKLED for each in streams)
            late = sorted(
                each.times[n] - each.times[0] - n * upstream.PAUSE for each in streams for n in range(upstream.TRICKLED)
            )
            report.add(Row(
                claim=f"Streams held open at once, a word a second each ({lasted:.0f} s)", measured=whole, unit="whole",
                limit=size.streams, limit_of="streams begun", wanted="all", met=whole == size.streams,
                note=f"{(full - empty) / size.streams / 1024:.0f} KiB of memory each; "
                f"{(web.cpu - cpu) / lasted:.0%} of a core.",
            ))  # fmt: skip
            report.add(
                Row(claim="... a word later than it should be, p99", measured=quantile(late, 0.99) * 1000, unit="ms")
            )


# 4: what is decided about texts, on those in the repository that nothing was trained on


async def judging(desk: Desk) -> None:
    """How well turns are routed, texts moderated and personal data found."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "train" / "chat"))
    import labelled
    import pii

    report = desk.report
    held = [each for each in labelled.routing() if each.held]
    routed = labelled.routed(held)
    fast, smart = labelled.PRICES
    report.add(
        Row(claim=f"Router: accuracy on {len(held)} held-back turns", measured=routed["accuracy"] * 100, unit="%")
    )
    too_cheap, too_dear = routed["complex to fast"], routed["simple to smart"]
    wrong = f"{too_cheap:.0f} complex turns went to fast, {too_dear:.0f} simple ones to smart."
    report.add(Row(
        claim=f"... cost saved, at {fast:g} and {smart:g} dollars a million tokens",
        measured=routed["cost saved"] * 100, unit="%",
        limit=routed["cost saved by perfect routing"] * 100, limit_of="routing without mistakes",
        note=wrong,
    ))  # fmt: skip
    held = [each for each in labelled.moderation() if each.held]
    precision, recall, count = labelled.judged(held)["flagged at all"]
    report.add(Row(
        claim=f"Moderation: precision on {len(held)} held-back texts, {count} of them to be flagged",
        measured=precision * 100, unit="%", note=f"Recall {recall:.1%}.",
    ))  # fmt: skip
    precision, recall, count, _ = pii.judged()
    report.add(Row(
        claim=f"Personal data: precision on {len(pii.examples())} texts with {count} pieces of it",
        measured=precision * 100, unit="%", note=f"Recall {recall:.1%}.",
    ))  # fmt: skip


# The generator: a client of the API that notes when each piece came.


@dataclass
class Heard:
    """When the pieces of an answer came, in seconds since it was asked."""

    times: list[float]
    tokens: int = 0

    @property
    def first(self) -> float:
        return self.times[0]


type Ask = Callable[[dict[str, object]], Awaitable[Heard]]


@asynccontextmanager
async def client(port: int, key: str, path: str = PATH) -> AsyncIterator[Ask]:
    headers = {"authorization": f"Bearer {key}"}
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def ask(body: dict[str, object]) -> Heard:
            heard = Heard([])
            began = time.perf_counter()
            more = {"stream_options": {"include_usage": True}}
            async with session.post(f"http://127.0.0.1:{port}{path}", json={**body, **more}) as answer:
                if answer.status != 200:
                    raise SystemExit(f"{path}: {answer.status} {await answer.text()}")
                async for line in answer.content:
                    if b'"content":"' in line and b'"content":""' not in line:
                        heard.times.append(time.perf_counter() - began)
                    elif b'"completion_tokens":' in line:
                        heard.tokens = msgspec.json.decode(line[5:])["usage"]["completion_tokens"]
            return heard

        yield ask


# 5: the parts


PARTS: dict[str, Callable[[Desk], Awaitable[None]]] = {
    "gateway": gateway, "tokens": first_tokens, "prompt": long_prompt, "turns": turns, "held": held,
    "judging": judging,
}  # fmt: skip


async def run(report: Report, size: Size, parts: Sequence[str]) -> None:
    os.sched_setaffinity(0, measure.OTHERS)
    load.find_wrk()
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as folder:
        async with open_house(House, Path(folder), ("chat",), LIMITS) as house:
            desk = Desk(house, report, size)
            for name in parts:
                began = time.perf_counter()
                await PARTS[name](desk)
                print(f"  ({name}: {time.perf_counter() - began:.0f} s)", flush=True)
    report.say(PEER)


if __name__ == "__main__":
    command("chat", __doc__, "five minutes", PARTS, FULL, QUICK, run)
