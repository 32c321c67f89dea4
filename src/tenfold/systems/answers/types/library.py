"""The words of the library: collections, the documents in them, and what people ask of both."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from tenfold.systems.answers.types.reading import Block

type State = Literal["waiting", "reading", "ready", "failed"]
type Mode = Literal["dense", "bm25", "hybrid", "reranked"]

_NEVER = datetime.fromtimestamp(0, UTC)
#: Characters of names.
MOST_NAME = 500
_LINE = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
type CollectionName = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=_LINE)]
#: What a document is called: a file's name, a path in an archive, an address.
type DocumentName = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_NAME, pattern=_LINE)]
type Description = Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^[^\x00]*$")]
type Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern=r"^[^\x00-\x1f,]+$")]
type Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,18}$")]


class CreateCollection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: CollectionName
    description: Description = ""


class ChangeCollection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What isn't named stays as it is."""

    name: CollectionName | None = None
    description: Description | None = None


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    description: str
    documents: int
    chunks: int
    failed: int
    #: Those that wait to be read, too.
    reading: int
    bytes: int
    created_at: datetime
    updated_at: datetime


class Collections(msgspec.Struct, frozen=True, kw_only=True):
    items: Sequence[Collection]
    next: str | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    title: str
    kind: str
    #: The address it was fetched from, else its name.
    source: str
    size: int
    pages: int
    chunks: int
    #: 0 until it was read for the first time. While a newer one is read, the older one answers.
    version: int
    state: State
    #: 0 to 1, while it is read.
    progress: float | None
    #: Why it failed.
    reason: str
    tags: Sequence[str]
    created_at: datetime
    updated_at: datetime


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    items: Sequence[Document]
    #: What to ask for as `before` to get the next ones; null at the end.
    next: str | None = None


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was sent and is there already, under another name."""

    name: str
    document_id: str


class Received(msgspec.Struct, frozen=True, kw_only=True):
    items: Sequence[Document]
    #: Under /api/jobs of the house. None for what changes nothing.
    job_ids: Sequence[str]
    duplicates: Sequence[Duplicate] = ()
    #: Members of an archive that are no documents.
    skipped: Sequence[str] = ()


class FetchDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: Annotated[
        str, msgspec.Meta(min_length=1, max_length=MOST_NAME, pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s\x00-\x1f]+$")
    ]
    tags: Annotated[list[Tag], msgspec.Meta(max_length=20)] = []


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says."""

    title: str
    kind: str
    text: str
    blocks: Sequence[Block]
    pages: int
    version: int


class Version(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    size: int
    chunks: int
    created_at: datetime


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    items: Sequence[Version]
    next: str | None = None


class Changed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the live topic of a collection tells: a document as it is now, or the id of one that is gone."""

    document: Document | None = None
    removed: str | None = None


class Narrow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """In which documents something is looked for."""

    kinds: Annotated[list[str], msgspec.Meta(max_length=20)] = []
    tags: Annotated[list[str], msgspec.Meta(max_length=20)] = []
    document_ids: Annotated[list[Id], msgspec.Meta(max_length=1000)] = []
    since: datetime | None = None
    before: datetime | None = None


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    query: Annotated[str, msgspec.Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]*\S[^\x00]*$")]
    limit: Annotated[int, msgspec.Meta(ge=1, le=50)] = 5
    filters: Narrow | None = None
    mode: Mode = "reranked"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A passage that was found, and why it stands where it stands."""

    chunk_id: str
    document_id: str
    title: str
    source: str
    kind: str
    headings: Sequence[str]
    page: int | None
    #: Characters of the document's text.
    begins: int
    ends: int
    text: str
    score: float
    dense: float | None
    bm25: float | None
    fused: float | None
    reranked: float | None


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    items: Sequence[Found]
    #: Milliseconds by stage.
    took: dict[str, float]
    reranker: str


class StoredUpload(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it is kept."""

    collection_id: int
    id: int
    account_id: int
    name: str
    source: str
    media_type: str
    tags: Sequence[str]
    number: int = 1
    size: int
    digest: bytes
    key: str
    state: State = "waiting"
    reason: str = ""
    progress: float | None = None
    job_id: int = 0
    version: int = 0
    title: str = ""
    kind: str = ""
    pages: int = 0
    chunks: int = 0
    created_at: datetime = _NEVER
    updated_at: datetime = _NEVER

    @property
    def shown(self) -> Document:
        return Document(
            id=str(self.id),
            name=self.name,
            title=self.title or self.name,
            kind=self.kind,
            source=self.source or self.name,
            size=self.size,
            pages=self.pages,
            chunks=self.chunks,
            version=self.version,
            state=self.state,
            progress=self.progress if self.state == "reading" else None,
            reason=self.reason,
            tags=self.tags,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )
