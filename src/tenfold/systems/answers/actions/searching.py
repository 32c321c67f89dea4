"""Looking for passages, by any of the ways there are to find them."""

from collections.abc import Sequence

from tenfold.platform.identity import Principal
from tenfold.platform.limits import Limit
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.library import own
from tenfold.systems.answers.actions.retrieval import Retrieval, Retrieved
from tenfold.systems.answers.types.index import Filters, Passage
from tenfold.systems.answers.types.library import Found, Mode, Narrow, Search, SearchResult

#: Searches: each embeds its question, and looks through two indexes.
SEARCH = Limit(
    "answers.search",
    {"anonymous": "10/minute", "free": "120/minute", "plus": "600/minute", "enterprise": "6000/minute"},
)


async def search(answers: Answers, collection_id: int, data: Search, principal: Principal) -> SearchResult:
    """The passages that fit a question best.

    Raises CollectionNotFound, TooManyRequests, Unavailable while nothing can embed.
    """
    await own(answers, collection_id, principal)
    await answers.runtime.limits.take(SEARCH, principal)
    filters = read_filters(data.filters or Narrow())
    retrieved = await look(answers, collection_id, data.query, data.mode, filters, data.limit)
    items = [found(each) for each in retrieved.passages]
    return SearchResult(items=items, took=retrieved.took, reranker=retrieved.reranker)


async def look(
    answers: Answers, collection_id: int, question: str, mode: Mode, filters: Filters, limit: int
) -> Retrieved:
    """Passages by any of the ways there are. Raises Unavailable while nothing can embed."""
    match mode:
        case "dense" | "bm25":
            return await answers.retrieval.by_one(collection_id, question, mode, filters, limit=limit)
        case "hybrid":
            plain = Retrieval(answers.runtime, answers.segments, None)
            return await plain.retrieve(collection_id, question, filters, limit=limit)
        case _:
            return await answers.retrieval.retrieve(collection_id, question, filters, limit=limit)


def read_filters(narrow: Narrow) -> Filters:
    """Filters as retrieval has them."""
    ids: Sequence[int] = [int(each) for each in narrow.document_ids]
    return Filters(document_ids=ids, kinds=narrow.kinds, tags=narrow.tags, since=narrow.since, before=narrow.before)


def found(passage: Passage) -> Found:
    """A passage as the API has it."""
    chunk = passage.chunk
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
        score=passage.score,
        dense=passage.dense,
        bm25=passage.bm25,
        fused=passage.fused,
        reranked=passage.reranked,
    )
