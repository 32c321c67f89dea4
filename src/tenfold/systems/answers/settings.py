"""What can be set about answers: TENFOLD_ANSWERS_* or the table [answers]."""

from typing import Annotated, Literal

import msgspec

type Positive = Annotated[int, msgspec.Meta(ge=1)]
type Natural = Annotated[int, msgspec.Meta(ge=0)]


class AnswersSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    #: Who scores passages again: "learned" (no cross-encoder), "none", or the folder of any cross-encoder as ONNX.
    reranker: str = "learned"
    #: Tokens of a chunk, and those that two neighbours share.
    chunk_tokens: Positive = 512
    chunk_overlap: Natural = 50
    #: Who answers: "model" (the tier fast, in its words) or "quoted" (nobody: in the documents' own words).
    answerer: Literal["model", "quoted"] = "model"
    #: The confidence below which the answer is "I don't know"; without one that of docs/decisions/0034.
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    #: Tokens and seconds of an answer, and seconds for which one is given again while no document has changed.
    answer_tokens: Positive = 400
    answer_seconds: Positive = 120
    cache_seconds: Natural = 3600
    #: Bytes of a document, of an archive, and of all its files when they are unpacked; files of an archive.
    document_bytes: Positive = 50 * 1024**2
    archive_bytes: Positive = 100 * 1024**2
    unpacked_bytes: Positive = 512 * 1024**2
    archive_files: Positive = 1000
    #: Seconds that sending a document may take; documents that an account sends to a process at once; and those of all
    #: that are in memory to be kept, once all of them is there.
    sending_seconds: Positive = 600
    sending: Positive = 4
    sending_together: Positive = 4
    #: Documents of a collection; collections of an account, and bytes of all their documents.
    documents: Positive = 200_000
    collections: Positive = 100
    account_bytes: Positive = 10 * 1024**3
    #: What reading a document may take, in seconds and in bytes of memory; its pages, and characters of its text.
    reading_seconds: Positive = 120
    reading_memory: Positive = 2 * 1024**3
    document_pages: Positive = 5000
    document_characters: Positive = 20_000_000
    #: Versions of a document whose bytes are kept.
    versions: Positive = 5
    #: Seconds that fetching a document may take, and hops on the way to it.
    fetch_seconds: Positive = 30
    fetch_hops: Natural = 5
    #: Whether documents are fetched from private networks too. Whoever may add documents may look around there then.
    fetch_private: bool = False
