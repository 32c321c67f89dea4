"""Looking for passages, by any of the ways there are to find them."""

from collections.abc import Sequence
from time import perf_counter

from tenfold.platform.identity import Principal
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.library import own
from tenfold.systems.answers.actions.retrieval import Retrieval
from tenfold.systems.answers.store import chunks as store
from tenfold.systems.answers.types.index import Filters, Hit, Passage, Stored
from tenfold.systems.answers.types.library import Found, Narrow, Search, SearchResult


async def search(answers: Answers, collection_id: int, data: Search, principal: Principal) -> SearchResult:
    """The passages that fit a question best. Raises CollectionNotFound, Unavailable while nothing can embed."""
    await own(answers, collection_id, principal)
    filters = read_filters(data.filters or Narrow())
    match data.mode:
        case "dense" | "bm25":
            return await _by_one(answers, collection_id, data, filters)
        case "hybrid":
            retrieval = Retrieval(answers.runtime, answers.segments, None)
        case _:
            retrieval = answers.retrieval
    retrieved = await retrieval.retrieve(collection_id, data.query, filters, limit=data.limit)
    items = [_found(each) for each in retrieved.passages]
    return SearchResult(items=items, took=retrieved.took, reranker=retrieved.reranker)


async def _by_one(answers: Answers, collection_id: int, data: Search, filters: Filters) -> SearchResult:
    """By one of the searches alone, in its order."""
    began = perf_counter()
    if data.mode == "dense":
        [vector] = await answers.runtime.inference.embed([data.query])
        hits = await answers.retrieval.dense(collection_id, vector, filters, data.limit)
    else:
        hits = (await answers.retrieval.words(collection_id, data.query, filters, data.limit)).hits[: data.limit]
    took: dict[str, float] = {data.mode: 1000 * (perf_counter() - began)}
    async with answers.runtime.db.read() as tx:
        stored = {each.id: each for each in await store.list_chunks(tx, collection_id, [hit.id for hit in hits])}
    items = [_alone(stored[hit.id], hit, data.mode) for hit in hits if hit.id in stored]
    return SearchResult(items=items, took=took, reranker="")


def read_filters(narrow: Narrow) -> Filters:
    """Filters as retrieval has them."""
    ids: Sequence[int] = [int(each) for each in narrow.document_ids]
    return Filters(document_ids=ids, kinds=narrow.kinds, tags=narrow.tags, since=narrow.since, before=narrow.before)


def _alone(chunk: Stored, hit: Hit, mode: str) -> Found:
    dense, bm25 = (hit.score, None) if mode == "dense" else (None, hit.score)
    return _shown(chunk, hit.score, dense=dense, bm25=bm25, fused=None, reranked=None)


def _found(passage: Passage) -> Found:
    each = passage
    return _shown(each.chunk, each.score, dense=each.dense, bm25=each.bm25, fused=each.fused, reranked=each.reranked)


def _shown(
    chunk: Stored,
    score: float,
    *,
    dense: float | None,
    bm25: float | None,
    fused: float | None,
    reranked: float | None,
) -> Found:
    return Found(
        chunk_id=str(chunk.id),
        document_id=str(chunk.document_id),
        title=chunk.title,
        source=chunk.source,
        kind=chunk.kind,
        headings=chunk.headings,
        page=chunk.page,
        begins=chunk.begins,
        ends=chunk.ends,
        text=chunk.text,
        score=score,
        dense=dense,
        bm25=bm25,
        fused=fused,
        reranked=reranked,
    )
