"""What answers claims, measured: `tenfold bench answers`.

How fast documents come in beside the model of embeddings alone; latency at 100,000 chunks, recall of the graph, and
what each stage is worth. The chunks of the latency part are made up: words drawn as often as documentation has them,
and real embeddings of documentation with noise, so that neighbours are about as far from each other as real ones.
Quality is measured on real texts (train/answers/labelled.py), by the same code that answers questions; so is what
stands before the first token of an answer, with a model on this machine.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import batched
from math import log2
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from house import command
from measure import Report, Row, median, quantile
from tenfold.platform.engines import Llama
from tenfold.platform.identity import Principal
from tenfold.platform.inference import Queued
from tenfold.platform.inference.types import Chunk as Said
from tenfold.platform.jobs.testing import Office
from tenfold.platform.runtime import Runtime, open_runtime
from tenfold.platform.settings import Tier
from tenfold.platform.testing import PLATFORM, booted_engines, fresh_settings, models_of_tests
from tenfold.systems.answers.actions import asking, indexing, receiving
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.ingestion import Sent
from tenfold.systems.answers.actions.retrieval import Retrieval
from tenfold.systems.answers.engine.reranking import Learned
from tenfold.systems.answers.hot import Segments
from tenfold.systems.answers.jobs import JOBS
from tenfold.systems.answers.rules import bm25, fusion, segments
from tenfold.systems.answers.settings import AnswersSettings
from tenfold.systems.answers.store import chunks as chunks_store
from tenfold.systems.answers.store import library as library_store
from tenfold.systems.answers.store import search as search_store
from tenfold.systems.answers.store import segments as segments_store
from tenfold.systems.answers.types.asking import Answer, Piece
from tenfold.systems.answers.types.index import Chunk, Filters, IndexedDocument

sys.path.insert(0, str(Path(__file__).parents[1] / "train/answers"))
import labelled

WORDS, PER_DOCUMENT, WRITTEN = 150, 20, 4000
#: Real embeddings that the made-up ones are near to, and how near: the noise's length beside theirs.
REAL, NOISE = 1000, 0.8
QUESTIONS = 300
#: Of documents that come in.
COLLECTION = 11
ANY = Filters()


class Size(msgspec.Struct, frozen=True):
    chunks: int
    #: Of the larger collection, where there is memory for it; 0: none.
    most: int
    #: Of each labelled collection, at most.
    questions: int
    #: That come in, of some pages each.
    documents: int
    #: Questions that a model answers.
    asked: int


FULL = Size(chunks=100_000, most=1_000_000, questions=1_000_000, documents=64, asked=15)
QUICK = Size(chunks=5000, most=0, questions=60, documents=8, asked=4)
#: Bytes of memory for each chunk of the larger collection: its text, its embedding twice, the engines and we.
EACH = 8 * 1024
#: Who answers.
MODEL, KEY = "qwen2.5-coder-0.5b", "a-key-of-the-model"


async def ingesting(runtime: Runtime, report: Report, size: Size) -> None:
    """Documents by the job that people's go through, then the same chunks by the model of embeddings alone."""
    texts = labelled.texts()
    kept = Segments()
    answers = Answers(runtime, AnswersSettings(), kept, Retrieval(runtime, kept, None))
    me = Principal(account_id=1, name="bench", tier="enterprise", scopes=frozenset("*"))
    async with runtime.db.transaction() as tx:
        await library_store.insert_collection(tx, COLLECTION, 1, "bench", "")
    await runtime.inference.embed(["warm"])
    for number in range(size.documents):
        said = "\n\n".join(texts[number * PER_DOCUMENT : (number + 1) * PER_DOCUMENT])
        await receiving.keep(answers, COLLECTION, [Sent(f"{number}.txt", said.encode())], (), me)
    began = time.perf_counter()
    await Office(runtime.jobs).work_off([(job, answers) for job in JOBS], timeout=1800)
    took = time.perf_counter() - began
    async with runtime.db.read(fresh=True) as tx:
        chunks: list[str] = await tx.value("SELECT array_agg(text ORDER BY id) FROM answers.chunk")
    began = time.perf_counter()
    await asyncio.gather(*(runtime.inference.embed(list(part)) for part in batched(chunks, indexing.EMBEDDED)))
    alone = time.perf_counter() - began
    report.add(Row(
        claim=f"Documents ingested, {len(chunks) / size.documents:.0f} chunks each", measured=size.documents / took,
        unit="/s",
    ))  # fmt: skip
    report.add(Row(
        claim="... their chunks, read, embedded and indexed", measured=len(chunks) / took, unit="/s",
        limit=len(chunks) / alone, limit_of="the model of embeddings alone", wanted="ratio >= 0.8",
        met=alone >= 0.8 * took,
    ))  # fmt: skip


async def latency(runtime: Runtime, report: Report, size: Size) -> None:
    await _latency(runtime, report, size.chunks)


async def million(runtime: Runtime, report: Report, size: Size) -> None:
    """The same with ten times as many, where there is memory."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size.most and free >= size.most * EACH:
        await _latency(runtime, report, size.most)
    elif size.most:
        report.say(f"{size.most:,} chunks want {size.most * EACH / 1e9:.0f} GB of memory; {free / 1e9:.1f} are free.")


async def _latency(runtime: Runtime, report: Report, chunks: int) -> None:
    texts = labelled.texts()
    draw = np.random.default_rng(5)
    words = Counter(word for text in texts for word in text.split())
    vocabulary = list(words)
    terms_of = [bm25.terms(word) for word in vocabulary]
    chances = np.array([words[word] for word in vocabulary], np.float64)
    chances /= chances.sum()
    chosen = [texts[place] for place in draw.choice(len(texts), REAL, replace=False)]
    real = np.array(await runtime.inference.embed([text[:600] for text in chosen]), np.float32)
    collection = 1
    async with runtime.db.session() as tx:
        await chunks_store.insert_collection(tx, collection, 1, "made up")
        await tx.script("DROP INDEX answers.embedding_near")
    began = time.perf_counter()
    for first in range(0, chunks, WRITTEN):
        count = min(WRITTEN, chunks - first)
        drawn = draw.choice(len(vocabulary), size=(count, WORDS), p=chances)
        noise = draw.standard_normal((count, 384)).astype(np.float32) * (NOISE / 384**0.5)
        near = real[draw.integers(0, REAL, count)] + noise
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        await _write(runtime, collection, first // PER_DOCUMENT, drawn, near, vocabulary, terms_of)
    report.say(f"{chunks:,} chunks written in {time.perf_counter() - began:.0f} s, embeddings not counted.")
    began = time.perf_counter()
    async with runtime.db.session() as tx:
        await tx.script(
            """SET maintenance_work_mem = '2GB'; CREATE INDEX embedding_near ON answers.embedding
               USING hnsw (embedding public.halfvec_cosine_ops) WITH (m = 16, ef_construction = 64);
               ANALYZE answers.embedding; ANALYZE answers.chunk; ANALYZE answers.document"""
        )
        size = await tx.value("SELECT pg_relation_size('answers.embedding_near') / 1e6")
    report.say(f"The graph of neighbours was made in {time.perf_counter() - began:.0f} s and has {size:.0f} MB.")
    kept = Segments()
    began = time.perf_counter()
    while await indexing.merge_segments(runtime, kept, collection):
        pass
    left = await _value(runtime, "SELECT count(*) FROM answers.segment")
    report.say(f"Segments merged to {left} in {time.perf_counter() - began:.1f} s.")
    longest = [text for text in chosen if len(text.split()) > 12]
    questions = [" ".join(longest[place % len(longest)].split()[:10]) for place in range(QUESTIONS)]
    vectors = await runtime.inference.embed(questions)
    retrieval = Retrieval(runtime, kept, Learned())

    async def cold(place: int) -> None:
        await Retrieval(runtime, Segments(), None).words(collection, questions[place], ANY)

    rows: Sequence[tuple[str, float, Callable[[int], Awaitable[object]]]] = (
        ("Dense search", 50, lambda place: retrieval.dense(collection, vectors[place], ANY)),
        ("BM25 search, nothing of it kept in the process", 0, cold),
        ("BM25 search", 30, lambda place: retrieval.words(collection, questions[place], ANY)),
        ("Hybrid search with embedding the question",  80,
         lambda place: Retrieval(runtime, kept, None).retrieve(collection, questions[place])),
        ("... and reranking", 200, lambda place: retrieval.retrieve(collection, questions[place])),
        ("... and a second look where one is wanted", 200,
         lambda place: retrieval.retrieve(collection, questions[place], hops_allowed=True)),
    )  # fmt: skip
    for claim, wanted, ask in rows:
        count = 20 if not wanted else QUESTIONS
        for place in range(0 if not wanted else 30):
            await ask(place)
        times = sorted([await _timed(ask, place) for place in range(count)])
        p95 = quantile(times, 0.95)
        report.add(Row(
            claim=f"{claim}, {chunks:,} chunks, p95", measured=p95, unit="ms",
            wanted=f"< {wanted} ms" if wanted else "", met=p95 < wanted if wanted else None,
            note=f"p50 {quantile(times, 0.5):.1f} ms, p99 {quantile(times, 0.99):.1f} ms.",
        ))  # fmt: skip
    for limit in (10, 100):
        shares: list[float] = []
        for vector in vectors[:60]:
            async with runtime.db.snapshot() as tx:
                exact = {hit.id for hit in await search_store.list_nearest(tx, collection, vector, limit, ANY)}
            found = {hit.id for hit in await retrieval.dense(collection, vector, ANY, limit)}
            shares.append(len(exact & found) / limit)
        recall = sum(shares) / len(shares)
        report.add(Row(
            claim=f"Recall of the graph against comparing all, first {limit}", measured=recall, unit="",
            wanted=">= 0.95", met=recall >= 0.95,
        ))  # fmt: skip


async def _write(
    runtime: Runtime,
    collection: int,
    first: int,
    drawn: NDArray[np.int64],
    vectors: NDArray[np.float32],
    vocabulary: Sequence[str],
    terms_of: Sequence[Sequence[str]],
) -> None:
    """Some chunks as documents of PER_DOCUMENT each, and one segment."""
    made: list[tuple[int, int, list[str]]] = []
    async with runtime.db.transaction() as tx:
        for number in range(0, len(drawn), PER_DOCUMENT):
            document = first + number // PER_DOCUMENT + 1
            kind = "pdf" if document % 10 == 0 else "text"
            await chunks_store.put_document(
                tx, collection, IndexedDocument(id=document, title=f"Document {document}", kind=kind)
            )
            new: list[chunks_store.NewChunk] = []
            for ordinal, place in enumerate(range(number, min(number + PER_DOCUMENT, len(drawn)))):
                key, terms = runtime.ids.next(), [term for word in drawn[place] for term in terms_of[word]]
                text = " ".join([vocabulary[word] for word in drawn[place]])
                made.append((key, document, terms))
                chunk = Chunk(ordinal=ordinal, text=text, ends=len(text), tokens=WORDS)
                digest = key.to_bytes(16)
                new.append(chunks_store.NewChunk(key, chunk, digest, len(terms), vectors[place].tolist()))
            await chunks_store.insert_chunks(tx, collection, document, new)
        await segments_store.insert_segment(tx, collection, runtime.ids.next(), segments.build(made))


async def _timed(ask: Callable[[int], Awaitable[object]], place: int) -> float:
    began = time.perf_counter()
    await ask(place)
    return 1000 * (time.perf_counter() - began)


async def _value(runtime: Runtime, sql: str) -> int:
    async with runtime.db.read(fresh=True) as tx:
        return int(await tx.value(sql))


async def quality(runtime: Runtime, report: Report, size: Size) -> None:
    # The default reranker has seen the questions of the first half of the articles, and nothing of these packages.
    for number, collection in enumerate(
        (labelled.xquad(articles=slice(24, None)), labelled.docstrings(most=1000)), start=10
    ):
        kept = await _indexed(runtime, number, collection)
        retrieval, bare = Retrieval(runtime, kept, Learned()), Retrieval(runtime, kept, None)
        found: dict[str, list[float]] = {}
        looks = 0
        asked = collection.questions[:: max(1, len(collection.questions) // size.questions)]
        for question, relevant in asked:
            [vector] = await runtime.inference.embed([question])
            dense = [hit.id for hit in await retrieval.dense(number, vector, ANY)]
            words = [hit.id for hit in (await retrieval.words(number, question, ANY)).hits]
            async with runtime.db.read() as tx:
                stored = await chunks_store.list_chunks(tx, number, dense + words)
            every = {each.id: each.document_id for each in stored}
            for name, ranking in (("dense", dense), ("BM25", words), ("hybrid", list(fusion.fuse([dense, words])))):
                found.setdefault(name, []).append(_gain([every[key] for key in ranking], relevant))
            for name, who, again in (
                ("hybrid and second look", bare, True),
                ("reranked", retrieval, False),
                ("reranked and second look", retrieval, True),
            ):
                got = await who.retrieve(number, question, limit=10, hops_allowed=again)
                found.setdefault(name, []).append(_gain([each.chunk.document_id for each in got.passages], relevant))
                looks += bool(got.second_look and who is bare)
        about = f"{collection.name}, {len(collection.passages):,} passages, {len(asked):,} questions"
        means = {name: sum(gains) / len(gains) for name, gains in found.items()}
        floors = {"hybrid": max(means["dense"], means["BM25"]), "reranked": means["hybrid"]}
        for name, mean in means.items():
            floor = floors.get(name)
            report.add(Row(
                claim=f"nDCG@10 of {name}: {about}", measured=mean, unit="",
                wanted=f"> {floor:.4f}" if floor else "", met=mean > floor if floor else None,
            ))  # fmt: skip
        report.say(f"{collection.name}: a second look at {looks} of {len(asked)} questions.")


async def _indexed(runtime: Runtime, number: int, collection: labelled.Collection) -> Segments:
    async with runtime.db.transaction() as tx:
        await chunks_store.insert_collection(tx, number, 1, collection.name)
    for place, passage in enumerate(collection.passages):
        # Without a title: a document's number says nothing.
        document = IndexedDocument(id=place, title="")
        await indexing.index_document(runtime, number, document, [Chunk(ordinal=0, text=passage)])
    kept = Segments()
    while await indexing.merge_segments(runtime, kept, number):
        pass
    return kept


class Watched:
    """The models of a process with a look at when one is asked, and when it says its first word."""

    def __init__(self, runtime: Runtime) -> None:
        self.asked = self.first = 0.0
        self._stream = runtime.inference.stream
        runtime.inference.stream = self  # type: ignore[assignment, method-assign]

    @asynccontextmanager
    async def __call__(self, *given: Any, **more: Any) -> AsyncIterator[AsyncIterator[Queued | Said]]:
        self.asked, self.first = time.perf_counter(), 0.0
        async with self._stream(*given, **more) as steps:
            yield self._watch(steps)

    async def _watch(self, steps: AsyncIterator[Queued | Said]) -> AsyncIterator[Queued | Said]:
        async for step in steps:
            if not self.first and not isinstance(step, Queued) and step.text:
                self.first = time.perf_counter()
            yield step


async def answering(runtime: Runtime, report: Report, size: Size) -> None:
    """The first token of answers, and how much of it isn't the model's own."""
    collection, number = labelled.xquad(articles=slice(24, None)), 12
    kept = await _indexed(runtime, number, collection)
    answers = Answers(runtime, AnswersSettings(answer_tokens=8), kept, Retrieval(runtime, kept, Learned()))
    watched = Watched(runtime)
    whole: list[float] = []
    own: list[float] = []
    for place, (question, _) in enumerate(collection.questions[:: len(collection.questions) // (size.asked + 2)]):
        draft = Answer(
            id=str(place),
            conversation_id="0",
            collection_id=str(number),
            question=question,
            created_at=datetime.now(UTC),
        )
        began, heard = time.perf_counter(), 0.0
        async for event in asking.answer(answers, 1, number, draft, fresh=True):
            if isinstance(event, Piece) and not heard:
                heard = time.perf_counter()
        if watched.asked > began and watched.first and place >= 2:
            whole.append(1000 * (heard - began))
            own.append(1000 * (watched.first - watched.asked))
    added = sorted(one - other for one, other in zip(whole, own, strict=True))
    report.add(Row(
        claim=f"First token of an answer from {len(collection.passages):,} passages, {MODEL}, p50",
        measured=median(whole), unit="ms", limit=median(own), limit_of="the model alone, given the same passages",
        note=f"Of {len(whole)} questions; the others were not sure enough to be answered.",
    ))  # fmt: skip
    report.add(Row(
        claim="... added by finding the passages and judging them, p50", measured=median(added), unit="ms",
        note=f"p95 {quantile(added, 0.95):.1f} ms.",
    ))  # fmt: skip


def _gain(ranking: Sequence[int], relevant: int) -> float:
    """nDCG@10 where one passage is relevant."""
    return next((1 / log2(rank + 2) for rank, each in enumerate(ranking[:10]) if each == relevant), 0.0)


PARTS = {"ingesting": ingesting, "latency": latency, "quality": quality, "answering": answering, "million": million}


async def run(report: Report, size: Size, parts: Sequence[str]) -> None:
    models = models_of_tests()
    for name in ("minilm", *([MODEL] if "answering" in parts else [])):
        if not models.present(name):
            await models.pull(name)
    packages = (PLATFORM, "tenfold.systems.answers")
    for part in parts:
        async with AsyncExitStack() as stack:
            engines = await stack.enter_async_context(booted_engines())
            settings = await stack.enter_async_context(fresh_settings(engines, packages))
            own = msgspec.structs.replace(settings, models=models.directory, database_timeout=600)
            if part == "answering":
                llama = Llama(Path(stack.enter_context(TemporaryDirectory())), KEY, model=models.path(MODEL))
                await llama.start()
                stack.push_async_callback(llama.stop)
                own = msgspec.structs.replace(own, tiers={"fast": Tier(endpoints=(llama.endpoint,))})
            runtime = await stack.enter_async_context(open_runtime(own))
            await PARTS[part](runtime, report, size)


if __name__ == "__main__":
    command("answers", __doc__ or "", "half an hour", PARTS, FULL, QUICK, run)
