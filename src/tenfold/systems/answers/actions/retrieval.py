"""From a question to the passages that answer it: two searches at once, fused, reranked, few of one section."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

import msgspec

from tenfold.platform.runtime import Runtime
from tenfold.systems.answers.engine.reranking import Candidate, Question, Reranker
from tenfold.systems.answers.hot import Found, Segments
from tenfold.systems.answers.rules import bm25, fusion, hops
from tenfold.systems.answers.store import chunks as chunks_store
from tenfold.systems.answers.store import search as store
from tenfold.systems.answers.types.index import Filters, Hit, Passage, Stored

#: Chunks that each search finds, and of those fused the ones that are reranked, as the case study has it.
CANDIDATES, RERANKED = 100, 20
#: Chunks up to which all are compared, which is exact and takes less than the graph then.
EXACT = 4000
#: Candidates that the graph of neighbours is searched with (ef_search).
BREADTH = 200
#: What a second look counts for beside the first.
SECOND = 0.5
#: What a passage that answers it is worth beside one that answers the question.
AGAIN = 0.9


class Retrieved(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, the best first."""

    passages: list[Passage]
    #: What was looked for after the question, nothing when one look was enough.
    second_look: str = ""
    #: Who has reranked, if anybody.
    reranker: str = ""
    #: What each term of the question is worth in the collection: its idf.
    weights: dict[str, float] = {}
    #: Milliseconds that each stage took.
    took: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class _Look:
    """What the two searches have found."""

    dense: list[Hit]
    words: Found
    took: dict[str, float] = field(default_factory=dict)

    @property
    def rankings(self) -> list[list[int]]:
        return [[hit.id for hit in self.dense], [hit.id for hit in self.words.hits]]


class Retrieval:
    """Searches collections, for one process."""

    def __init__(self, runtime: Runtime, segments: Segments, reranker: Reranker | None) -> None:
        self._runtime = runtime
        self._segments = segments
        self._reranker = reranker

    async def retrieve(
        self,
        collection_id: int,
        question: str,
        filters: Filters | None = None,
        *,
        limit: int = 5,
        threshold: float = 0.0,
        hops_allowed: bool = False,
    ) -> Retrieved:
        """The passages that answer a question: at most 2 of a section, none whose score is under the threshold.

        A second look (`hops_allowed`) is for questions that go through one thing to another. It costs those that don't
        some of their ranking, so whoever asks says which it is: docs/decisions/0032.

        Raises Unavailable while nothing can embed or the database is away.
        """
        filters = filters or Filters()
        look = await self._look(collection_id, question, filters)
        fused = fusion.fuse(look.rankings)
        stored = await self._read(collection_id, list(fused)[:RERANKED])
        second, further, looks, searches = "", look, dict.fromkeys(fused, 1), 2.0
        if hops_allowed and stored:
            texts = [stored[key].text for key in fused if key in stored]
            second = hops.second_look(question, texts[: hops.READ], look.words.weights)
        if second:
            further = await self._look(collection_id, second, filters)
            fused = fusion.fuse([*look.rankings, *further.rankings], weights=[1, 1, SECOND, SECOND])
            searches += 2 * SECOND
            looks |= {key: 2 for key in fused if key not in looks}
            missing = [key for key in list(fused)[:RERANKED] if key not in stored]
            stored |= await self._read(collection_id, missing)
        began = perf_counter()
        shares = {key: fusion.share(fused[key], 1) / searches for key in list(fused)[:RERANKED] if key in stored}
        scores = await self._rerank(question, look, list(shares), stored)
        if second:
            # What the second look was for isn't in the question, so a passage may answer either.
            again = await self._rerank(second, further, list(shares), stored)
            scores = {key: max(score, AGAIN * again[key]) for key, score in scores.items()}
            look = _both(look, further)
        took = look.took | {"reranking": 1000 * (perf_counter() - began)}
        ranked = fusion.combine(scores, shares) if scores else shares
        dense, words = ({hit.id: hit.score for hit in hits} for hits in (look.dense, look.words.hits))
        passages = [
            Passage(
                chunk=stored[key],
                score=score,
                dense=dense.get(key),
                bm25=words.get(key),
                fused=shares[key],
                reranked=scores.get(key),
                look=looks[key],
            )
            for key, score in ranked.items()
            if score >= threshold
        ]
        few = fusion.diverse(passages, _source)[:limit]
        name = self._reranker.name if self._reranker and scores else ""
        return Retrieved(passages=few, second_look=second, reranker=name, weights=look.words.weights, took=took)

    async def by_one(
        self, collection_id: int, question: str, mode: str, filters: Filters, *, limit: int = 5
    ) -> Retrieved:
        """Passages in the order of one of the searches alone, "dense" or "bm25". Raises Unavailable."""
        began = perf_counter()
        weights: dict[str, float] = {}
        if mode == "dense":
            [vector] = await self._runtime.inference.embed([question])
            hits = await self.dense(collection_id, vector, filters, limit)
        else:
            found = await self.words(collection_id, question, filters, limit)
            hits, weights = found.hits[:limit], found.weights
        took = {mode: 1000 * (perf_counter() - began)}
        stored = await self._read(collection_id, [hit.id for hit in hits])
        passages = [
            Passage(
                chunk=stored[hit.id],
                score=hit.score,
                dense=hit.score if mode == "dense" else None,
                bm25=None if mode == "dense" else hit.score,
                fused=None,
                reranked=None,
            )
            for hit in hits
            if hit.id in stored
        ]
        return Retrieved(passages=passages, weights=weights, took=took)

    async def _look(self, collection_id: int, question: str, filters: Filters) -> _Look:
        """Both searches at once, each on a connection of its own. Raises what the first of them does that fails."""
        try:
            async with asyncio.TaskGroup() as group:
                dense = group.create_task(self._dense(collection_id, question, filters))
                words = group.create_task(self._words(collection_id, question, filters))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        (near, embedding, searching), (found, counting) = dense.result(), words.result()
        return _Look(near, found, {"embedding": embedding, "dense": searching, "bm25": counting})

    async def _dense(self, collection_id: int, question: str, filters: Filters) -> tuple[list[Hit], float, float]:
        began = perf_counter()
        [vector] = await self._runtime.inference.embed([question])
        embedded = perf_counter()
        found = await self.dense(collection_id, vector, filters)
        return found, 1000 * (embedded - began), 1000 * (perf_counter() - embedded)

    async def dense(
        self, collection_id: int, vector: Sequence[float], filters: Filters, limit: int = CANDIDATES
    ) -> list[Hit]:
        """The chunks that are nearest to an embedding."""
        async with self._runtime.db.snapshot() as tx:
            if await store.count_chunks(tx, collection_id, EXACT + 1, filters) <= EXACT:
                return await store.list_nearest(tx, collection_id, vector, limit, filters)
            found = await store.list_near(tx, collection_id, vector, limit, filters, max(BREADTH, limit))
            if len(found) == limit:
                return found
            # The graph was left before there were enough: nearly all that is near belongs to other collections, or to
            # documents that the filter leaves out.
            return await store.list_nearest(tx, collection_id, vector, limit, filters)

    async def _words(self, collection_id: int, question: str, filters: Filters) -> tuple[Found, float]:
        began = perf_counter()
        found = await self.words(collection_id, question, filters)
        return found, 1000 * (perf_counter() - began)

    async def words(self, collection_id: int, question: str, filters: Filters, limit: int = CANDIDATES) -> Found:
        """The chunks that score highest by BM25."""
        terms = bm25.terms(question)
        async with self._runtime.db.snapshot() as tx:
            return await self._segments.search(tx, collection_id, terms, limit, filters)

    async def _read(self, collection_id: int, ids: Sequence[int]) -> dict[int, Stored]:
        """Chunks by id. One that was removed since it was found is missing."""
        if not ids:
            return {}
        async with self._runtime.db.read() as tx:
            found = {each.id: each for each in await chunks_store.list_chunks(tx, collection_id, ids)}
        return {key: found[key] for key in ids if key in found}

    async def _rerank(
        self, question: str, look: _Look, chosen: Sequence[int], stored: dict[int, Stored]
    ) -> dict[int, float]:
        if self._reranker is None or not chosen:
            return {}
        dense, words = ({hit.id: hit.score for hit in hits} for hits in (look.dense, look.words.hits))
        candidates = [Candidate(_searched(stored[key]), dense.get(key, 0.0), words.get(key, 0.0)) for key in chosen]
        scores = await self._reranker.score(Question(question, look.words.weights), candidates)
        return dict(zip(chosen, scores, strict=True))


def _source(passage: Passage) -> tuple[int, *tuple[str, ...]]:
    """What counts as one source: a section, since a whole manual may be one document. Without headings, that."""
    return passage.chunk.document_id, *passage.chunk.headings


def _searched(chunk: Stored) -> str:
    return bm25.indexed(chunk.title, chunk.headings, chunk.text)


def _both(first: _Look, second: _Look) -> _Look:
    """Two looks as one: what both have found counts as it did in the first."""
    dense = {hit.id: hit for hit in (*second.dense, *first.dense)}
    words = {hit.id: hit for hit in (*second.words.hits, *first.words.hits)}
    took = {name: first.took[name] + second.took[name] for name in first.took}
    return _Look(list(dense.values()), Found(list(words.values()), first.words.weights), took)
