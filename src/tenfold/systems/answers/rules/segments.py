"""Segments of the BM25 index: made of new chunks, merged, written as bytes, and searched.

A segment numbers its chunks from 0, in the order of their ids, so that a posting is three bytes: the chunk's number and
how often it has the term. That is little enough to be read and scored whole; numpy adds up ten million postings a
second and more, and there is nothing to decode.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import log
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tenfold.systems.answers.rules import bm25

#: Chunks of a segment at most: their numbers have 16 bits.
MOST: Final = 1 << 16
#: From so many chunks on, postings are rows by term: a search reads those of its terms only.
SPREAD: Final = 1 << 10
#: Segments of about one size that become one.
FAN: Final = 8
#: The share of a segment's chunks that is gone from which on it is written anew.
DEAD_SHARE: Final = 0.1

type Ids = NDArray[np.int64]


class Postings(msgspec.Struct, frozen=True):
    """Where a term is: numbers of chunks, ascending, and how often it is in each."""

    numbers: NDArray[np.uint16]
    counts: NDArray[np.uint8]


class Segment(msgspec.Struct, frozen=True):
    """What is known of some chunks. `terms` to `counts` are empty where postings are rows."""

    #: Ascending.
    chunks: Ids
    documents: Ids
    #: Terms of each.
    lengths: NDArray[np.uint16]
    #: Its terms; those of term i are `numbers[ends[i - 1]:ends[i]]`.
    terms: list[str]
    ends: NDArray[np.uint32]
    numbers: NDArray[np.uint16]
    counts: NDArray[np.uint8]

    @property
    def packed(self) -> bool:
        return len(self.chunks) < SPREAD

    @property
    def length(self) -> int:
        return int(self.lengths.sum(dtype=np.int64))

    @property
    def holding(self) -> NDArray[np.int64]:
        """How many chunks hold each term."""
        ends = self.ends.astype(np.int64)
        each = ends.copy()
        each[1:] -= ends[:-1]
        return each

    def postings(self, place: int) -> Postings:
        part = slice(int(self.ends[place - 1]) if place else 0, int(self.ends[place]))
        return Postings(self.numbers[part], self.counts[part])

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """Each term with its postings as they are kept."""
        for place, term in enumerate(self.terms):
            yield term, written(self.postings(place))


class View(msgspec.Struct, frozen=True):
    """A segment as a question sees it: with the postings of its terms."""

    segment: Segment
    postings: Mapping[str, Postings]


class Size(msgspec.Struct, frozen=True):
    """A segment as the merge policy sees it."""

    id: int
    chunks: int
    #: Of them, those that are gone.
    dead: int = 0


def build(chunks: Iterable[tuple[int, int, Sequence[str]]]) -> Segment:
    """The segment of chunks: their ids, their documents', and their terms. At most MOST."""
    ordered = sorted(chunks, key=lambda each: each[0])
    holding: dict[str, list[tuple[int, int]]] = {}
    for number, (_, _, terms) in enumerate(ordered):
        for term, count in Counter(terms).items():
            holding.setdefault(term, []).append((number, min(count, 255)))
    terms = sorted(holding)
    pairs = np.array([pair for term in terms for pair in holding[term]], np.int64).reshape(-1, 2)
    return Segment(
        np.array([each[0] for each in ordered], np.int64),
        np.array([each[1] for each in ordered], np.int64),
        np.array([min(len(each[2]), 65535) for each in ordered], np.uint16),
        terms,
        np.cumsum([len(holding[term]) for term in terms], dtype=np.uint32),
        pairs[:, 0].astype(np.uint16),
        pairs[:, 1].astype(np.uint8),
    )


def merge(segments: Sequence[Segment], dead: Collection[int]) -> Segment:
    """One segment of several, without the chunks that are gone. All of them have their postings."""
    gone = np.array(sorted(dead), np.int64)
    chunks = np.concatenate([each.chunks for each in segments])
    alive = ~np.isin(chunks, gone)
    order = np.argsort(chunks[alive], kind="stable")
    # The new number of each chunk, counted through all the segments; -1: gone.
    places = np.full(len(chunks), -1, np.int64)
    places[np.flatnonzero(alive)[order]] = np.arange(len(order))
    vocabulary = sorted({term for each in segments for term in each.terms})
    codes = {term: code for code, term in enumerate(vocabulary)}
    term_codes: list[NDArray[np.int64]] = []
    numbers: list[NDArray[np.int64]] = []
    first = 0
    for each in segments:
        own = np.array([codes[term] for term in each.terms], np.int64)
        term_codes.append(np.repeat(own, each.holding))
        numbers.append(places[first + each.numbers.astype(np.int64)])
        first += len(each.chunks)
    of, number = np.concatenate(term_codes), np.concatenate(numbers)
    count = np.concatenate([each.counts for each in segments])
    kept = number >= 0
    of, number, count = of[kept], number[kept], count[kept]
    sorting = np.argsort(of * MOST + number, kind="stable")
    held = np.bincount(of, minlength=len(vocabulary))
    left = np.flatnonzero(held)
    return Segment(
        chunks[alive][order],
        np.concatenate([each.documents for each in segments])[alive][order],
        np.concatenate([each.lengths for each in segments])[alive][order],
        [vocabulary[place] for place in left],
        np.cumsum(held[left]).astype(np.uint32),
        number[sorting].astype(np.uint16),
        count[sorting],
    )


def choose(sizes: Sequence[Size]) -> list[Size]:
    """The segments that should become one now, none when all is well.

    Sizes are told apart by powers of FAN, and FAN of one such size are merged, so that a chunk is written again once
    for each power and few segments are left (Lucene's and LSM trees' tiers). What would exceed MOST stays.
    """
    if worn := [each for each in sizes if each.dead > DEAD_SHARE * each.chunks]:
        return _fitting(worn)
    tiers: dict[int, list[Size]] = {}
    for each in sizes:
        tiers.setdefault(int(log(max(each.chunks, 1), FAN) + 1e-9), []).append(each)
    for _, tier in sorted(tiers.items()):
        fitting = _fitting(sorted(tier, key=lambda each: each.id)[:FAN])
        if len(tier) >= FAN and len(fitting) > 1:
            return fitting
    return []


def _fitting(sizes: Sequence[Size]) -> list[Size]:
    chosen: list[Size] = []
    for each in sizes:
        if sum(one.chunks for one in chosen) + each.chunks <= MOST:
            chosen.append(each)
    return chosen


# Bytes


class _Body(msgspec.Struct, array_like=True):
    chunks: bytes
    documents: bytes
    lengths: bytes
    terms: list[str]
    ends: bytes
    numbers: bytes
    counts: bytes


def pack(segment: Segment) -> bytes:
    """A segment as it is kept: with its postings, unless it has so many chunks that these are rows."""
    arrays = (segment.ends.astype("<u4"), segment.numbers.astype("<u2"), segment.counts)
    ends, numbers, counts = (each.tobytes() if segment.packed else b"" for each in arrays)
    header = segment.chunks.astype("<i8"), segment.documents.astype("<i8"), segment.lengths.astype("<u2")
    chunks, documents, lengths = (each.tobytes() for each in header)
    terms = segment.terms if segment.packed else []
    return msgspec.msgpack.encode(_Body(chunks, documents, lengths, terms, ends, numbers, counts))


def unpack(data: bytes) -> Segment:
    body = msgspec.msgpack.decode(data, type=_Body)
    return Segment(
        np.frombuffer(body.chunks, "<i8"),
        np.frombuffer(body.documents, "<i8"),
        np.frombuffer(body.lengths, "<u2"),
        body.terms,
        np.frombuffer(body.ends, "<u4"),
        np.frombuffer(body.numbers, "<u2"),
        np.frombuffer(body.counts, "u1"),
    )


def written(postings: Postings) -> bytes:
    return postings.numbers.astype("<u2").tobytes() + postings.counts.tobytes()


def read(data: bytes) -> Postings:
    count = len(data) // 3
    return Postings(np.frombuffer(data, "<u2", count), np.frombuffer(data, "u1", count, 2 * count))


def with_rows(segment: Segment, rows: Sequence[tuple[str, bytes]]) -> Segment:
    """A segment whose postings were rows, with them."""
    parts = [read(data) for _, data in rows]
    return msgspec.structs.replace(
        segment,
        terms=[term for term, _ in rows],
        ends=np.cumsum([len(each.numbers) for each in parts], dtype=np.uint32),
        numbers=np.concatenate([each.numbers for each in parts]) if parts else np.zeros(0, np.uint16),
        counts=np.concatenate([each.counts for each in parts]) if parts else np.zeros(0, np.uint8),
    )


# Search


class Ranking(msgspec.Struct, frozen=True):
    """Chunks with their scores, the best first, and what each term is worth that some chunk holds: its idf."""

    hits: list[tuple[int, float]]
    weights: dict[str, float]


def search(views: Sequence[View], terms: Sequence[str], dead: Ids, allowed: Ids | None, limit: int) -> Ranking:
    """The chunks that score highest for a question's terms; of equals the older one first.

    `dead` are chunks that don't count any more, ascending; `allowed` the documents among which is searched, all when
    None. Counts and lengths are of the whole collection then too, so that a filter changes no score.
    """
    wanted = Counter(terms)
    alive = [_outside(view.segment.chunks, dead) for view in views]
    lived = [
        view.segment.lengths if mask is None else view.segment.lengths[mask]
        for view, mask in zip(views, alive, strict=True)
    ]
    chunks = sum(len(each) for each in lived)
    average = sum(int(each.sum(dtype=np.int64)) for each in lived) / max(chunks, 1)
    holding = {term: sum(_count(view, mask, term) for view, mask in zip(views, alive, strict=True)) for term in wanted}
    weights = {term: bm25.idf(chunks, count) for term, count in holding.items() if count}
    ids, found = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for view, mask in zip(views, alive, strict=True):
        if not (here := [term for term in weights if term in view.postings]):
            continue
        scores = np.zeros(len(view.segment.chunks), np.float32)
        norms = bm25.norms(view.segment.lengths, average)
        for term in here:
            each = view.postings[term]
            bm25.add(scores, each.numbers, each.counts, norms, wanted[term] * weights[term])
        if mask is not None:
            scores[~mask] = 0
        if allowed is not None:
            scores[~np.isin(view.segment.documents, allowed)] = 0
        places = bm25.best(scores, limit)
        ids.append(view.segment.chunks[places])
        found.append(scores[places])
    every, score = np.concatenate(ids), np.concatenate(found)
    order = np.lexsort((every, -score))[:limit]
    return Ranking(list(zip(every[order].tolist(), score[order].tolist(), strict=True)), weights)


def _outside(chunks: Ids, dead: Ids) -> NDArray[np.bool_] | None:
    """Which of the chunks live; None when all do."""
    if not len(dead) or dead[-1] < chunks[0] or dead[0] > chunks[-1]:
        return None
    gone: NDArray[np.bool_] = np.isin(chunks, dead, assume_unique=True)
    return ~gone if gone.any() else None


def _count(view: View, alive: NDArray[np.bool_] | None, term: str) -> int:
    """Chunks that hold a term and live."""
    postings = view.postings.get(term)
    if postings is None:
        return 0
    return len(postings.numbers) if alive is None else int(np.count_nonzero(alive[postings.numbers]))
