"""What a process keeps in memory: of the BM25 index what was asked for lately, which never changes; and counts."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic

import msgspec
import numpy as np

from tenfold.platform.db import Tx
from tenfold.systems.answers.rules import segments as rules
from tenfold.systems.answers.rules.segments import Postings, Segment, View
from tenfold.systems.answers.store import search as search_store
from tenfold.systems.answers.store import segments as store
from tenfold.systems.answers.store.segments import Kept
from tenfold.systems.answers.types.index import Filters, Hit

#: Postings from which on scoring goes to a thread: some milliseconds' worth.
MANY = 200_000

_NONE = Postings(np.zeros(0, np.uint16), np.zeros(0, np.uint8))


class Found(msgspec.Struct, frozen=True):
    """What a search by words has found, and what each of the words is worth in the collection: its idf."""

    hits: list[Hit]
    weights: dict[str, float]


#: What an entry takes beside its numbers.
_OVERHEAD = 400


class Segments:
    """The BM25 index as one process sees it. `most` is how many bytes it keeps."""

    def __init__(self, most: int = 128 * 1024 * 1024) -> None:
        self._most = most
        self._size = 0
        self._headers: OrderedDict[int, _Entry] = OrderedDict()
        self._postings: OrderedDict[tuple[int, str], Postings] = OrderedDict()

    async def search(self, tx: Tx, collection_id: int, terms: Sequence[str], limit: int, filters: Filters) -> Found:
        """The chunks that score highest by BM25. `tx` is a snapshot, else a merge could be seen in part."""
        if not terms:
            return Found([], {})
        there = await store.list_segments(tx, collection_id)
        dead = await store.list_dead(tx, collection_id)
        allowed = await search_store.list_documents(tx, collection_id, filters) if filters.any else None
        views = await self.views(tx, collection_id, there, sorted(set(terms)))
        many = sum(len(each.numbers) for view in views for each in view.postings.values()) > MANY
        if many:
            found = await asyncio.to_thread(rules.search, views, terms, dead, allowed, limit)
        else:
            found = rules.search(views, terms, dead, allowed, limit)
        return Found([Hit(key, score) for key, score in found.hits], found.weights)

    async def views(self, tx: Tx, collection_id: int, there: Sequence[Kept], terms: Sequence[str]) -> list[View]:
        """Segments with the postings of terms, read as far as they aren't kept."""
        entries = await self._read_headers(tx, collection_id, there)
        rows = await self._read_postings(tx, collection_id, [each.id for each in there if not each.packed], terms)
        views: list[View] = []
        for kept, entry in zip(there, entries, strict=True):
            if kept.packed:
                found = {term: entry.postings(term) for term in terms if term in entry.places}
            else:
                found = {term: rows[kept.id, term] for term in terms if len(rows[kept.id, term].numbers)}
            views.append(View(entry.segment, found))
        return views

    async def headers(self, tx: Tx, collection_id: int, there: Sequence[Kept]) -> list[Segment]:
        """Segments, without the postings that are rows."""
        return [each.segment for each in await self._read_headers(tx, collection_id, there)]

    async def _read_headers(self, tx: Tx, collection_id: int, there: Sequence[Kept]) -> "list[_Entry]":
        found: dict[int, _Entry] = {}
        for each in there:
            if each.id in self._headers:
                self._headers.move_to_end(each.id)
                found[each.id] = self._headers[each.id]
        if missing := [each.id for each in there if each.id not in found]:
            for body in await store.list_bodies(tx, collection_id, missing):
                entry = _Entry(rules.unpack(body.body), len(body.body))
                found[body.id] = entry
                if body.id not in self._headers:  # else another search has read it meanwhile
                    self._headers[body.id] = entry
                    self._grow(entry.size)
        return [found[each.id] for each in there]

    async def _read_postings(
        self, tx: Tx, collection_id: int, segment_ids: Sequence[int], terms: Sequence[str]
    ) -> dict[tuple[int, str], Postings]:
        found: dict[tuple[int, str], Postings] = {}
        wanted = [(key, term) for key in segment_ids for term in terms]
        for key in wanted:
            if key in self._postings:
                self._postings.move_to_end(key)
                found[key] = self._postings[key]
        missing = [key for key in wanted if key not in found]
        if missing:
            ids, lacking = sorted({key for key, _ in missing}), sorted({term for _, term in missing})
            rows = await store.list_postings(tx, collection_id, ids, lacking)
            read = dict.fromkeys(missing, _NONE)  # that a segment hasn't got a term is worth knowing too
            read |= {(row.segment_id, row.term): rules.read(row.postings) for row in rows}
            for key, postings in read.items():
                if key not in self._postings:
                    self._postings[key] = postings
                    self._grow(3 * len(postings.numbers) + _OVERHEAD)
            found |= read
        return found

    def _grow(self, size: int) -> None:
        """Count what was kept, and let go what was asked for longest ago: postings first, they are read by term."""
        self._size += size
        while self._size > self._most and self._postings:
            _, postings = self._postings.popitem(last=False)
            self._size -= 3 * len(postings.numbers) + _OVERHEAD
        while self._size > self._most and len(self._headers) > 1:
            _, entry = self._headers.popitem(last=False)
            self._size -= entry.size


class _Entry:
    """A segment, where its terms are, and the bytes it takes."""

    __slots__ = ("places", "segment", "size")

    def __init__(self, segment: Segment, size: int) -> None:
        self.segment = segment
        self.places = {term: place for place, term in enumerate(segment.terms)}
        self.size = size + _OVERHEAD + 100 * len(self.places)

    def postings(self, term: str) -> Postings:
        return self.segment.postings(self.places[term])


class Numbers:
    """What this process has answered, as plain numbers for telemetry."""

    COUNTERS = "queries accepted cached unknown failed late"
    #: Seconds that somebody counts as active after a question.
    ACTIVE = 300.0

    def __init__(self) -> None:
        self.queries = self.accepted = self.cached = self.unknown = self.failed = self.late = 0
        self._asked: OrderedDict[int, float] = OrderedDict()

    def asked(self, account_id: int, now: float) -> None:
        self._asked[account_id] = now
        self._asked.move_to_end(account_id)

    @property
    def active_users(self) -> int:
        """Who has asked this process lately. Added up over processes, somebody may count twice."""
        since = monotonic() - self.ACTIVE
        while self._asked and next(iter(self._asked.values())) < since:
            self._asked.popitem(last=False)
        return len(self._asked)

    @property
    def cache_hit_rate(self) -> float:
        """Of this process, since it began. Of several, divide the counters."""
        return self.cached / self.queries if self.queries else 0.0
