"""Documents in PostgreSQL: both indexes change together, and the searches find what is there."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import bm25s
import numpy as np
import pytest
from msgspec.structs import replace
from tests.systems.answers.collection import COLLECTION, chunks, opened, put

from tenfold.platform.runtime import Runtime
from tenfold.platform.testing import Engines
from tenfold.systems.answers.actions import indexing
from tenfold.systems.answers.actions.retrieval import Retrieval
from tenfold.systems.answers.engine.reranking import Learned
from tenfold.systems.answers.errors import CollectionNotFound
from tenfold.systems.answers.hot import Segments
from tenfold.systems.answers.rules import bm25, segments
from tenfold.systems.answers.store import search as search_store
from tenfold.systems.answers.store import segments as segments_store
from tenfold.systems.answers.types.index import Chunk, Filters, IndexedDocument

OWLS = "Owls hunt mice at night and swallow them whole."
LAMPS = "The lamp on the pier is lit by a keeper every evening."
TAXES = "Value added tax is due on the tenth of each month."
ANY = Filters()


@pytest.fixture
async def runtime(engines: Engines) -> AsyncIterator[Runtime]:
    async with opened(engines) as runtime:
        yield runtime


@pytest.fixture
def retrieval(runtime: Runtime) -> Retrieval:
    return Retrieval(runtime, Segments(), Learned())


async def by_words(retrieval: Retrieval, question: str, filters: Filters = ANY) -> list[int]:
    return [hit.id for hit in (await retrieval.words(COLLECTION, question, filters)).hits]


async def value(runtime: Runtime, sql: str) -> int:
    async with runtime.db.read(fresh=True) as tx:
        return int(await tx.value(sql))


async def test_a_question_finds_the_passage_that_answers(runtime: Runtime, retrieval: Retrieval) -> None:
    await put(runtime, 1, [OWLS, LAMPS])
    await put(runtime, 2, [TAXES])
    found = await retrieval.retrieve(COLLECTION, "What do birds of prey eat in the dark?", limit=1)
    assert [each.chunk.text for each in found.passages] == [OWLS]
    found = await retrieval.retrieve(COLLECTION, "When do I have to pay VAT?")
    assert found.passages[0].chunk.text == TAXES
    assert found.passages[0].chunk.document_id == 2
    assert found.passages[0].chunk.title == "Document 2"
    assert found.reranker == Learned.name
    assert [each.score for each in found.passages] == sorted((each.score for each in found.passages), reverse=True)
    assert (await retrieval.retrieve(COLLECTION, "What do owls eat?", threshold=1.1)).passages == []
    assert (await retrieval.retrieve(8, "What do owls eat?")).passages == []


async def test_at_most_two_passages_of_a_section(runtime: Runtime, retrieval: Retrieval) -> None:
    """A document without headings is one; a manual is many."""
    alike = [f"{OWLS} Number {number}." for number in range(5)]
    await put(runtime, 1, alike)
    await put(runtime, 2, [LAMPS])
    found = await retrieval.retrieve(COLLECTION, "What do owls hunt?", limit=5)
    assert [each.chunk.document_id for each in found.passages] == [1, 1, 2]
    manual = [replace(each, headings=["Birds", f"Part {at // 3}"]) for at, each in enumerate(chunks(*alike))]
    await indexing.index_document(runtime, COLLECTION, IndexedDocument(id=1, title="Document 1"), manual)
    found = await retrieval.retrieve(COLLECTION, "What do owls hunt?", limit=5)
    assert [each.chunk.document_id for each in found.passages] == [1, 1, 1, 1, 2]


async def test_what_keeps_its_words_keeps_its_row_and_its_embedding(runtime: Runtime, retrieval: Retrieval) -> None:
    assert await put(runtime, 1, [OWLS, LAMPS]) == indexing.Indexed(version=1, new=2, kept=0, gone=0)
    before = await by_words(retrieval, "owls lamp")
    version = "SELECT sum(('x' || substr(md5(embedding::text), 1, 8))::bit(32)::bigint + xmin::text::bigint)"
    print_of_owls = f"{version} FROM answers.embedding WHERE chunk_id = {before[0]}"
    made = await value(runtime, print_of_owls)
    assert await put(runtime, 1, [TAXES, OWLS]) == indexing.Indexed(version=2, new=1, kept=1, gone=1)
    assert await value(runtime, print_of_owls) == made
    [owls] = await by_words(retrieval, "owls")
    assert owls == before[0]
    assert await value(runtime, f"SELECT ordinal FROM answers.chunk WHERE id = {owls}") == 1
    assert await by_words(retrieval, "lamp") == []
    assert len(await by_words(retrieval, "tax")) == 1
    assert await value(runtime, "SELECT count(*) FROM answers.embedding") == 2
    assert await value(runtime, "SELECT count(*) FROM answers.document_version") == 2


async def test_what_is_removed_is_in_no_index(runtime: Runtime, retrieval: Retrieval) -> None:
    await put(runtime, 1, [OWLS, OWLS])
    await put(runtime, 2, [OWLS])
    assert await indexing.remove_document(runtime, COLLECTION, 1)
    assert not await indexing.remove_document(runtime, COLLECTION, 1)
    [left] = await by_words(retrieval, "owls")
    [vector] = await runtime.inference.embed([OWLS])
    assert [hit.id for hit in await retrieval.dense(COLLECTION, vector, ANY)] == [left]


async def test_both_indexes_or_none(runtime: Runtime, retrieval: Retrieval) -> None:
    broken = [*chunks(OWLS), Chunk(ordinal=1, text="never\x00kept")]  # PostgreSQL keeps no such text
    with pytest.raises(Exception, match="0x00"):
        await indexing.index_document(runtime, COLLECTION, IndexedDocument(id=1, title="Broken"), broken)
    tables = ("document", "chunk", "embedding", "segment", "posting")
    assert not any([await value(runtime, f"SELECT count(*) FROM answers.{table}") for table in tables])
    assert await by_words(retrieval, "owls") == []
    with pytest.raises(CollectionNotFound):
        await indexing.index_document(runtime, 8, IndexedDocument(id=1, title="Nowhere"), chunks(OWLS))


async def test_writers_at_once_lose_nothing(runtime: Runtime, retrieval: Retrieval) -> None:
    """Of different documents, and of the same; with merges among them."""
    kept = Segments()

    async def merge() -> None:
        for _ in range(5):
            await indexing.merge_segments(runtime, kept, COLLECTION)

    await asyncio.gather(
        *(put(runtime, number % 8, [f"{OWLS} {number % 8}", f"write{number}"]) for number in range(24)), merge()
    )
    while await indexing.merge_segments(runtime, kept, COLLECTION):
        pass
    chunk_ids = await value(runtime, "SELECT count(*) FROM answers.chunk")
    assert chunk_ids == 16
    assert len(await by_words(retrieval, "owls")) == 8
    last = [await by_words(retrieval, f"write{number}") for number in range(24)]
    assert sum(map(len, last)) == 8
    assert await value(runtime, "SELECT sum(version) FROM answers.document") == 24


async def test_a_merge_while_something_goes_and_comes(runtime: Runtime, retrieval: Retrieval) -> None:
    for number in range(segments.FAN):
        await put(runtime, number, [f"{OWLS} {number}"])
    before = [(hit.id, hit.score) for hit in (await retrieval.words(COLLECTION, "owls 3", ANY)).hits]
    kept = Segments()
    async with runtime.db.transaction() as tx:  # somebody else is merging
        there = await segments_store.list_segments(tx, COLLECTION)
        await segments_store.lock_segments(tx, COLLECTION, [each.id for each in there])
        assert not await indexing.merge_segments(runtime, kept, COLLECTION)
        await put(runtime, 20, [LAMPS])  # and nobody who writes waits for it
    await indexing.remove_document(runtime, COLLECTION, 20)
    assert await indexing.merge_segments(runtime, kept, COLLECTION)
    while await indexing.merge_segments(runtime, kept, COLLECTION):
        pass
    assert await value(runtime, "SELECT count(*) FROM answers.segment") == 1
    assert await value(runtime, "SELECT count(*) FROM answers.dead") == 0
    assert [(hit.id, hit.score) for hit in (await retrieval.words(COLLECTION, "owls 3", ANY)).hits] == before


@pytest.mark.parametrize(
    ("filters", "documents"),
    [
        (Filters(document_ids=[2, 3]), {2, 3}),
        (Filters(kinds=["pdf"]), {1, 2}),
        (Filters(tags=["new"]), {2, 3}),
        (Filters(tags=["new", "long"]), {3}),
        (Filters(since=datetime(2026, 2, 1, tzinfo=UTC)), {2, 3}),
        (Filters(before=datetime(2026, 2, 1, tzinfo=UTC)), {1}),
        (Filters(kinds=["pdf"], tags=["new"]), {2}),
        (Filters(kinds=["none"]), set()),
    ],
)
async def test_filters_hold_in_both_searches(
    runtime: Runtime, retrieval: Retrieval, filters: Filters, documents: set[int]
) -> None:
    await put(runtime, 1, [OWLS], kind="pdf", dated_at=datetime(2026, 1, 1, tzinfo=UTC))
    await put(runtime, 2, [OWLS], kind="pdf", tags=["new"], dated_at=datetime(2026, 2, 1, tzinfo=UTC))
    await put(runtime, 3, [OWLS], kind="text", tags=["long", "new"], dated_at=datetime(2026, 3, 1, tzinfo=UTC))
    await put(runtime, 4, [OWLS], kind="text")
    found = await retrieval.retrieve(COLLECTION, "What do owls hunt?", filters)
    assert {each.chunk.document_id for each in found.passages} == documents
    assert len(await by_words(retrieval, "owls", filters)) == len(documents)
    [vector] = await runtime.inference.embed([OWLS])
    async with runtime.db.snapshot() as tx:
        graph = await search_store.list_near(tx, COLLECTION, vector, 10, filters, 40)
    async with runtime.db.snapshot() as tx:
        exact = await search_store.list_nearest(tx, COLLECTION, vector, 10, filters)
    assert {hit.id for hit in graph} == {hit.id for hit in exact}
    assert len(graph) == len(documents)


async def test_the_order_of_many_chunks_is_that_of_a_reference_implementation(
    runtime: Runtime, retrieval: Retrieval
) -> None:
    """Over packed segments and one of rows, after a merge and a removal."""
    draw = np.random.default_rng(11)
    words = [f"word{number}" for number in range(400)]
    chances = 1 / np.arange(1, 401)
    texts = [
        " ".join(draw.choice(words, size=int(draw.integers(5, 60)), p=chances / chances.sum()))
        for _ in range(segments.SPREAD + 200)
    ]
    parts = [texts[: segments.SPREAD + 50], *([text] for text in texts[segments.SPREAD + 50 :])]
    async with runtime.db.transaction() as tx:
        for number, part in enumerate(parts):
            ids = [runtime.ids.next() for _ in part]
            made = segments.build((key, number, bm25.terms(text)) for key, text in zip(ids, part, strict=True))
            await segments_store.insert_segment(tx, COLLECTION, runtime.ids.next(), made)
    kept = Segments()
    assert await indexing.merge_segments(runtime, kept, COLLECTION)
    reference = bm25s.BM25(k1=bm25.K1, b=bm25.B, method="lucene")
    reference.index([bm25.terms(text) for text in texts], show_progress=False)
    for question in ("word3 word77", "word0 word1 word2 word3", "word250", "word9 word120 word301 word399"):
        hits = (await retrieval.words(COLLECTION, question, ANY)).hits
        scores = reference.get_scores(bm25.terms(question))
        assert [hit.score for hit in hits] == pytest.approx(np.sort(scores)[::-1][: len(hits)].tolist(), rel=1e-4)


async def test_a_second_look_follows_what_the_first_has_found(runtime: Runtime, retrieval: Retrieval) -> None:
    await put(runtime, 1, ["The lighthouse of the bay was designed in 1883 by the engineer Marta Ohlsen."])
    await put(runtime, 2, ["As a child, Marta Ohlsen went to school in Tromvik, among fishermen."])
    await put(runtime, 3, ["The school of the harbour has a lamp, and a teacher who sets exams."])
    await put(runtime, 4, ["Children go to school by ferry when the ice is gone."])
    for number in range(5, 30):
        await put(runtime, number, [f"Ferry number {number} leaves the harbour every evening, unless there is ice."])
    question = "Where did the designer of the lighthouse of the bay go to school?"
    alone = await retrieval.retrieve(COLLECTION, question, limit=3)
    assert alone.second_look == ""
    found = await retrieval.retrieve(COLLECTION, question, limit=3, hops_allowed=True)
    assert "Marta Ohlsen" in found.second_look
    assert {1, 2} <= {each.chunk.document_id for each in found.passages}
    enough = await retrieval.retrieve(COLLECTION, "Who designed the lighthouse of the bay?", hops_allowed=True)
    assert enough.second_look == ""


async def test_a_collection_goes_with_all_that_is_in_it(runtime: Runtime) -> None:
    from tenfold.systems.answers.store import chunks as store

    await put(runtime, 1, [OWLS])
    await put(runtime, 1, [LAMPS])
    async with runtime.db.transaction() as tx:
        assert await store.delete_collection(tx, COLLECTION)
    tables = ("document", "document_version", "chunk", "embedding", "segment", "posting", "dead")
    assert not any([await value(runtime, f"SELECT count(*) FROM answers.{table}") for table in tables])
    assert not await indexing.merge_segments(runtime, Segments(), COLLECTION)
