"""How documents come into the index: only what changed is embedded, and nothing twice after a crash."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from tests.systems.answers.collection import COLLECTION, opened

from tenfold.platform.identity import Principal
from tenfold.platform.jobs.testing import Office
from tenfold.platform.runtime import Runtime
from tenfold.platform.testing import Engines
from tenfold.systems.answers.actions import library, receiving
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.ingestion import Sent
from tenfold.systems.answers.actions.retrieval import Retrieval
from tenfold.systems.answers.engine.fetching import fetch
from tenfold.systems.answers.errors import FetchRefused
from tenfold.systems.answers.hot import Segments
from tenfold.systems.answers.jobs import JOBS
from tenfold.systems.answers.settings import AnswersSettings
from tenfold.systems.answers.types.library import Document, FetchDocument

ME = Principal(account_id=1, name="alice", tier="enterprise", scopes=frozenset("*"))


@pytest.fixture
async def answers(engines: Engines) -> AsyncIterator[Answers]:
    async with opened(engines) as runtime:
        segments = Segments()
        settings = AnswersSettings(chunk_tokens=40, chunk_overlap=0)
        yield Answers(runtime, settings, segments, Retrieval(runtime, segments, None))


class Counted:
    """The model of embeddings with a look at what it is asked, and something that happens at some text."""

    def __init__(self, runtime: Runtime) -> None:
        self.texts: list[str] = []
        self.after: asyncio.Event | None = None
        self.most = 10**9
        self._embed = runtime.inference.embed
        runtime.inference.embed = self  # type: ignore[assignment, method-assign]

    async def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        if len(self.texts) + len(texts) > self.most:
            assert self.after is not None
            self.after.set()
            await asyncio.Event().wait()  # until the process is no more
        self.texts += texts
        return await self._embed(texts)


def paragraphs(*numbers: int) -> bytes:
    text = (
        "The keeper of lighthouse number {} writes down the wind, the waves and the ships, hour by hour, in its book."
    )
    return "\n\n".join(text.format(number) for number in numbers).encode()


async def work_off(answers: Answers) -> None:
    await Office(answers.runtime.jobs).work_off([(job, answers) for job in JOBS])


async def sent(answers: Answers, data: bytes, name: str = "log.txt") -> Document:
    [document] = (await receiving.keep(answers, COLLECTION, [Sent(name, data)], [], ME)).items
    return document


async def test_a_changed_document_has_only_its_changed_chunks_embedded(answers: Answers) -> None:
    counted = Counted(answers.runtime)
    await sent(answers, paragraphs(*range(8)))
    await work_off(answers)
    first = len(counted.texts)
    assert first >= 4
    counted.texts.clear()
    document = await sent(answers, paragraphs(*range(7), 99))
    await work_off(answers)
    assert 1 <= len(counted.texts) <= 2
    found = await library.find_document(answers, COLLECTION, int(document.id), ME)
    assert (found.version, found.chunks, found.state) == (2, first, "ready")


async def test_what_a_lost_worker_has_embedded_is_not_embedded_again(answers: Answers) -> None:
    counted = Counted(answers.runtime)
    counted.most, counted.after = 40, asyncio.Event()
    document = await sent(answers, paragraphs(*range(60)))
    office = Office(answers.runtime.jobs)
    async with office.working(*JOBS, state=answers):
        await counted.after.wait()
        sql = "SELECT count(*) FROM answers.prepared"
        while await value(answers, sql) < len(counted.texts):  # noqa: ASYNC110 - it holds in a server
            await asyncio.sleep(0.01)
        # The worker stops, and its attempt ends in the middle, as its process would.
    before = len(counted.texts)
    assert 0 < before <= 40
    found = await library.find_document(answers, COLLECTION, int(document.id), ME)
    assert (found.state, found.version) == ("reading", 0)
    counted.most = 10**9
    await work_off(answers)
    found = await library.find_document(answers, COLLECTION, int(document.id), ME)
    assert found.state == "ready"
    assert len(counted.texts) == found.chunks > before
    assert await value(answers, sql) == 0


async def value(answers: Answers, sql: str) -> Any:
    async with answers.runtime.db.read(fresh=True) as tx:
        return await tx.value(sql)


async def test_a_document_that_is_removed_while_it_is_read_stays_removed(answers: Answers) -> None:
    counted = Counted(answers.runtime)
    counted.most, counted.after = 0, asyncio.Event()
    document = await sent(answers, paragraphs(1))
    async with Office(answers.runtime.jobs).working(*JOBS, state=answers):
        await counted.after.wait()
        await library.delete_document(answers, COLLECTION, int(document.id), ME)
    counted.most = 10**9
    await work_off(answers)
    for table in ("upload", "document", "chunk", "reading", "prepared", "doomed"):
        assert await value(answers, f"SELECT count(*) FROM answers.{table}") == 0, table


class Pages(BaseHTTPRequestHandler):
    said = b"<title>Owls</title><h1>Owls</h1><p>They hunt mice at night.</p>"

    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("location", "http://127.0.0.1:1/")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(self.said)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pages() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_an_address_is_fetched_and_fetched_again(answers: Answers, pages: str) -> None:
    open_to_us = Answers(
        answers.runtime,
        msgspec.structs.replace(answers.settings, fetch_private=True),
        answers.segments,
        answers.retrieval,
    )
    for version, said in ((1, Pages.said), (1, Pages.said), (2, Pages.said + b"<p>And voles.</p>")):
        Pages.said = said
        [document] = (await receiving.send_address(open_to_us, COLLECTION, FetchDocument(url=pages), ME)).items
        await work_off(open_to_us)
        found = await library.find_document(answers, COLLECTION, int(document.id), ME)
        assert (found.title, found.kind, found.state, found.version) == ("Owls", "html", "ready", version)
    # Where private networks are none of ours, it fails, and says why.
    [document] = (await receiving.send_address(answers, COLLECTION, FetchDocument(url=f"{pages}/other"), ME)).items
    await work_off(answers)
    found = await library.find_document(answers, COLLECTION, int(document.id), ME)
    assert (found.state, "public internet" in found.reason) == ("failed", True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "0x7f.1",
        # Digits that are made plain ones on the way.
        "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
        "127\u30020\u30020\u30021",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "10.0.0.1",
        "0.0.0.0",
    ],
)
async def test_no_address_leads_into_our_own_network(host: str, pages: str) -> None:
    """Somebody would answer there: the refusal is ours."""
    with pytest.raises(FetchRefused, match="public internet"):
        await fetch(f"http://{host}:{urlsplit(pages).port}/", most=1000, seconds=5, hops=1)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "http://user@example.org/",
        "file:///etc/passwd",
        "http:///",
        "http://127.1/",
        "http://2130706433/",
    ],
)
async def test_other_addresses_are_none(url: str) -> None:
    with pytest.raises(FetchRefused, match="plain address"):
        await fetch(url, most=1000, seconds=5, hops=1)


async def test_fetching_has_its_limits(pages: str) -> None:
    with pytest.raises(FetchRefused, match="MB"):
        await fetch(pages, most=10, seconds=5, hops=1, private=True)
    with pytest.raises(FetchRefused, match="leads on"):
        await fetch(f"{pages}/away", most=1000, seconds=5, hops=0, private=True)
