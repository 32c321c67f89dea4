"""Documents come into the index, change in it and leave it; segments are merged behind them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched

import msgspec
import numpy as np

from tenfold.platform.db import Tx
from tenfold.platform.runtime import Runtime
from tenfold.systems.answers.errors import CollectionNotFound
from tenfold.systems.answers.hot import Segments
from tenfold.systems.answers.rules import bm25
from tenfold.systems.answers.rules import segments as rules
from tenfold.systems.answers.rules.changes import changes, digest
from tenfold.systems.answers.rules.segments import Segment, Size
from tenfold.systems.answers.store import chunks as store
from tenfold.systems.answers.store import segments as segments_store
from tenfold.systems.answers.store.chunks import NewChunk
from tenfold.systems.answers.store.segments import Kept
from tenfold.systems.answers.types.index import Chunk, IndexedDocument

#: Chunks that are embedded at once, so that questions come in between, and how many such batches are asked for ahead:
#: the model has the next one when it is through with one, whatever we do with what it has made.
EMBEDDED, AHEAD = 16, 3

type Vectors = dict[bytes, Sequence[float]]


class Indexed(msgspec.Struct, frozen=True):
    """What a new version of a document has changed."""

    version: int
    new: int
    kept: int
    gone: int


async def _nothing(*_: object) -> None:
    """What is done where nobody wants more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What whoever has a document indexed wants to know and to do meanwhile."""

    #: Embeddings by digest that an earlier attempt has made.
    known: Vectors = field(default_factory=dict)
    #: Told what was just embedded, and how much of all that is, from 0 to 1.
    embedded: Callable[[Vectors, float], Awaitable[None]] = _nothing
    #: Called first and last within the transaction that changes the index. What it raises undoes all of it.
    begin: Callable[[Tx], Awaitable[None]] = _nothing
    end: Callable[[Tx, Indexed], Awaitable[None]] = _nothing


async def index_document(
    runtime: Runtime,
    collection_id: int,
    document: IndexedDocument,
    chunks: Sequence[Chunk],
    watching: Watching | None = None,
) -> Indexed:
    """Make these the chunks of a document, in both indexes at once. What keeps its words keeps its embedding.

    Raises CollectionNotFound; Unavailable while nothing can embed.
    """
    watching = watching or Watching()
    searched = {each.ordinal: bm25.indexed(document.title, each.headings, each.text) for each in chunks}
    digests = {ordinal: digest(text) for ordinal, text in searched.items()}
    terms = await asyncio.to_thread(lambda: {ordinal: bm25.terms(text) for ordinal, text in searched.items()})
    async with runtime.db.read(fresh=True) as tx:
        there = [(each.id, each.digest) for each in await store.list_known(tx, collection_id, document.id)]
    vectors: Vectors = dict(watching.known)
    while True:
        # No transaction is held while a model works. So somebody may have changed the document meanwhile, and then
        # there may be something more to embed.
        lacking = {digests[each.ordinal] for each in changes(there, chunks, digests).new} - vectors.keys()
        wanted = {digests[at]: text for at, text in searched.items() if digests[at] in lacking}
        total, done = len(digests), len(digests) - len(wanted)
        async for made in embed(runtime, wanted):
            vectors |= made
            done += len(made)
            await watching.embedded(made, done / total)
        try:
            async with runtime.db.transaction() as tx:
                if not await store.lock_collection(tx, collection_id):
                    raise CollectionNotFound
                await watching.begin(tx)
                version = await store.put_document(tx, collection_id, document)
                there = [(each.id, each.digest) for each in await store.list_known(tx, collection_id, document.id)]
                change = changes(there, chunks, digests)
                if any(digests[each.ordinal] not in vectors for each in change.new):
                    raise _Overtaken
                new = [_new_chunk(runtime, each, digests, terms, vectors) for each in change.new]
                await store.delete_chunks(tx, collection_id, change.gone)
                await store.move_chunks(tx, collection_id, change.kept)
                await store.insert_chunks(tx, collection_id, document.id, new)
                for segment in _segments(document.id, new, terms):
                    await segments_store.insert_segment(tx, collection_id, runtime.ids.next(), segment)
                await store.insert_version(tx, collection_id, document.id, version, document.digest, len(chunks))
                indexed = Indexed(version, len(new), len(change.kept), len(change.gone))
                await watching.end(tx, indexed)
                return indexed
        except _Overtaken:
            continue


class _Overtaken(Exception):
    """Somebody else has changed the document while we looked away."""


async def embed(runtime: Runtime, texts: Mapping[bytes, str]) -> AsyncIterator[Vectors]:
    """Embed texts, in batches of alike lengths, since the shorter ones of a batch cost as much as its longest."""
    ordered = sorted(texts.items(), key=lambda each: len(each[1]), reverse=True)
    waiting = deque(batched(ordered, EMBEDDED))
    asked: deque[tuple[tuple[tuple[bytes, str], ...], asyncio.Task[list[list[float]]]]] = deque()
    try:
        while waiting or asked:
            while waiting and len(asked) < AHEAD:
                part = waiting.popleft()
                asked.append((part, asyncio.create_task(runtime.inference.embed([text for _, text in part]))))
            part, making = asked[0]
            vectors = await making
            asked.popleft()
            yield dict(zip([key for key, _ in part], vectors, strict=True))
    finally:
        for _, making in asked:
            making.cancel()
        await asyncio.gather(*(making for _, making in asked), return_exceptions=True)


def _new_chunk(
    runtime: Runtime,
    chunk: Chunk,
    digests: Mapping[int, bytes],
    terms: Mapping[int, Sequence[str]],
    vectors: Mapping[bytes, Sequence[float]],
) -> NewChunk:
    key = digests[chunk.ordinal]
    return NewChunk(runtime.ids.next(), chunk, key, len(terms[chunk.ordinal]), vectors[key])


def _segments(document_id: int, new: Sequence[NewChunk], terms: Mapping[int, Sequence[str]]) -> Iterator[Segment]:
    for part in batched(new, rules.MOST):
        yield rules.build((each.id, document_id, terms[each.chunk.ordinal]) for each in part)


async def remove_document(runtime: Runtime, collection_id: int, document_id: int) -> bool:
    """Take a document out of the index. False when there was none."""
    async with runtime.db.transaction() as tx:
        return await take_out(tx, collection_id, document_id)


async def take_out(tx: Tx, collection_id: int, document_id: int) -> bool:
    """Take a document out of the index with this transaction. False when there was none."""
    if not await store.lock_document(tx, collection_id, document_id):
        return False
    known = await store.list_known(tx, collection_id, document_id)
    await store.delete_chunks(tx, collection_id, [each.id for each in known])
    return await store.delete_document(tx, collection_id, document_id)


async def merge_segments(runtime: Runtime, segments: Segments, collection_id: int) -> bool:
    """Merge what should be merged in a collection, once. Whether there was anything.

    Writers don't wait for it, nor it for them: what they add is a segment of its own, and what they remove is noted by
    chunk, wherever that is then. Of two merges at once the second leaves the first its segments.
    """
    async with runtime.db.transaction() as tx:
        if not await store.lock_collection(tx, collection_id):
            return False
        there = await segments_store.list_segments(tx, collection_id)
        dead = await segments_store.list_dead(tx, collection_id)
        known = await segments.headers(tx, collection_id, there)
        sizes = [
            Size(kept.id, kept.chunks, len(np.intersect1d(header.chunks, dead)))
            for kept, header in zip(there, known, strict=True)
        ]
        chosen = [each.id for each in rules.choose(sizes)]
        locked = await segments_store.lock_segments(tx, collection_id, chosen) if chosen else []
        if not locked or len(locked) < len(chosen):
            return False
        bodies = await segments.headers(tx, collection_id, locked)
        whole = [await _whole(tx, collection_id, *each) for each in zip(locked, bodies, strict=True)]
        merged = await asyncio.to_thread(rules.merge, whole, dead)
        gone = [key for each in whole for key in np.intersect1d(each.chunks, dead, assume_unique=True).tolist()]
        await segments_store.delete_segments(tx, collection_id, chosen)
        await segments_store.delete_dead(tx, collection_id, gone)
        if len(merged.chunks):
            await segments_store.insert_segment(tx, collection_id, runtime.ids.next(), merged)
    return True


async def _whole(tx: Tx, collection_id: int, kept: Kept, header: Segment) -> Segment:
    """A segment with its postings."""
    if kept.packed:
        return header
    rows = await segments_store.list_all_postings(tx, collection_id, kept.id)
    return rules.with_rows(header, [(row.term, row.postings) for row in rows])
