"""The words of retrieval: what is put into the index, what may be asked of it, what is found."""

from collections.abc import Sequence
from datetime import datetime

import msgspec


class IndexedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What the index knows of a document."""

    id: int
    title: str
    source: str = ""
    kind: str = "text"
    tags: Sequence[str] = ()
    dated_at: datetime | None = None
    digest: bytes = b""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a document, as it is put into the index."""

    ordinal: int
    text: str
    headings: Sequence[str] = ()
    page: int | None = None
    #: Characters of the document's text.
    begins: int = 0
    ends: int = 0
    tokens: int = 0


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Of which documents something is wanted. What isn't named doesn't matter."""

    document_ids: Sequence[int] = ()
    kinds: Sequence[str] = ()
    #: All of them.
    tags: Sequence[str] = ()
    #: Written from then on, and before then; what has no date is in no such range.
    since: datetime | None = None
    before: datetime | None = None

    @property
    def any(self) -> bool:
        return bool(self.document_ids or self.kinds or self.tags or self.since or self.before)


class Hit(msgspec.Struct, frozen=True):
    """A chunk that one of the searches found, and how good that search takes it to be."""

    id: int
    score: float


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk as it is kept, with what its document says of itself."""

    id: int
    document_id: int
    title: str
    source: str
    kind: str
    ordinal: int
    headings: Sequence[str]
    page: int | None
    begins: int
    ends: int
    text: str
    tokens: int


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that answers, and why it stands where it stands."""

    chunk: Stored
    #: 0 to 1: what decides.
    score: float
    #: Cosine and BM25 where that search has found it.
    dense: float | None
    bm25: float | None
    #: 0 to 1, where both searches were asked.
    fused: float | None
    #: 0 to 1, unless nothing was reranked.
    reranked: float | None
    #: The look that has found it: the first, or one with words of what the first has found.
    look: int = 1
