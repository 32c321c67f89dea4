"""Documents are read, cut, embedded and indexed by a job, which goes on where the one before it was lost."""

import asyncio
import hashlib
from dataclasses import dataclass

import msgspec
import numpy as np
import structlog

from tenfold.platform.blobs import BlobMissing, extension
from tenfold.platform.db import Tx
from tenfold.platform.errors import Unavailable
from tenfold.platform.jobs import ConfinedFailed, Work, job
from tenfold.platform.models import Models
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.indexing import Indexed, Vectors, Watching, index_document, merge_segments
from tenfold.systems.answers.actions.library import remove_objects, tell
from tenfold.systems.answers.engine.extraction import kind_of
from tenfold.systems.answers.engine.fetching import fetch
from tenfold.systems.answers.engine.reading import Reading, read
from tenfold.systems.answers.errors import (
    CollectionNotFound,
    FetchRefused,
)
from tenfold.systems.answers.store import library as store
from tenfold.systems.answers.store.library import Kept, Prepared, Read
from tenfold.systems.answers.types.index import Chunk, IndexedDocument
from tenfold.systems.answers.types.library import (
    MOST_NAME,
    Changed,
    State,
    StoredUpload,
)

log = structlog.get_logger(__name__)

#: Seconds that an object may be there before a row has it.
PATIENCE = 3600.0
#: Seconds between two signs of progress of a document.
SIGNS = 0.5


class Ingest(msgspec.Struct, frozen=True):
    collection_id: int
    #: Documents, and the number of their bytes: whoever comes later has other bytes.
    documents: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Sent:
    """A file as it came."""

    name: str
    data: bytes
    media_type: str = ""


def key_of(answers: Answers, collection_id: int, sent: Sent) -> str:
    # Its type is what browsers are told it is, so of what is said only what we know counts.
    kind = {"pdf": "pdf", "html": "html", "markdown": "md", "docx": "docx", "csv": "csv", "text": "txt"}
    known = kind.get(kind_of(sent.name, sent.media_type, sent.data[:8]) or "", extension(sent.media_type))
    return f"answers/{collection_id}/{answers.runtime.ids.next()}.{known}"


def digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class _Outdated(Exception):
    """There are other bytes meanwhile, or none any more."""


@job(Ingest, name="answers-ingest", timeout=6 * 3600.0)
async def ingest(answers: Answers, work: Work[Ingest]) -> None:
    """Read documents into the index. One that can't be read fails by itself."""
    collection_id, documents = work.payload.collection_id, work.payload.documents
    for at, (document_id, number) in enumerate(documents):
        async with answers.runtime.db.read(fresh=True) as tx:
            upload = await store.find_upload(tx, collection_id, document_id)
        # What an earlier attempt has brought to its end is at its end.
        if upload is not None and upload.number == number and upload.state in ("waiting", "reading"):
            work.progress(at, len(documents), upload.name)
            try:
                await _Ingestion(answers, work, upload, at, len(documents)).run()
            except (_Outdated, CollectionNotFound):
                log.info("document_outdated", collection=collection_id, document=document_id)
    while await merge_segments(answers.runtime, answers.segments, collection_id):
        pass
    work.progress(len(documents), len(documents))


class _Ingestion:
    """The way of one document into the index."""

    def __init__(self, answers: Answers, work: Work[Ingest], upload: StoredUpload, at: int, of: int) -> None:
        self._answers = answers
        self._work = work
        self._upload = upload
        self._at, self._of = at, of
        self._signed = 0.0

    async def run(self) -> None:
        await self._say("reading", progress=0.0)
        try:
            upload = self._upload
            if upload.source and not upload.key:
                upload = self._upload = await self._fetch(upload)
                if upload.state == "ready":
                    return
            reading = await self._read(upload)
        except (FetchRefused, ConfinedFailed, _Refused) as error:
            reason = str(error.values["reason"]) if isinstance(error, ConfinedFailed) else str(error)
            await self._say("failed", reason=_sentence(reason))
            return
        await self._index(upload, reading)

    async def _fetch(self, upload: StoredUpload) -> StoredUpload:
        answers, settings = self._answers, self._answers.settings
        found = await fetch(
            upload.source,
            most=settings.document_bytes,
            seconds=settings.fetch_seconds,
            hops=settings.fetch_hops,
            private=settings.fetch_private,
        )
        if not found.data:
            raise _Refused("There is nothing at this address.")
        digest = await asyncio.to_thread(digest_of, found.data)
        where = upload.collection_id, upload.id
        async with answers.runtime.db.transaction() as tx:
            before = await store.find_kept(tx, *where, upload.version)
            if before is not None and before.digest == digest:
                await store.keep_fetched(tx, *where, upload.number, before, found.media_type)
        if before is not None and before.digest == digest:
            await self._say("ready")
            return self._upload
        key = key_of(answers, upload.collection_id, Sent(upload.source.partition("?")[0], found.data, found.media_type))
        async with answers.runtime.db.transaction() as tx:
            await store.doom(tx, upload.collection_id, [key], PATIENCE)
        await answers.runtime.blobs.put(key, found.data)
        async with answers.runtime.db.transaction() as tx:
            kept = Kept(len(found.data), digest, key)
            now = await store.keep_fetched(tx, *where, upload.number, kept, found.media_type)
            if now is None:
                raise _Outdated
            if not await store.spare(tx, upload.collection_id, [key]):
                raise Unavailable(part="The objects of this document (it took too long)")
        return now

    async def _read(self, upload: StoredUpload) -> Reading:
        settings, runtime = self._answers.settings, self._answers.runtime
        try:
            data = await runtime.blobs.get(upload.key, max_bytes=settings.document_bytes)
        except BlobMissing:
            raise _Outdated from None  # it went while we came
        models = Models(runtime.settings.models_directory)
        tokenizer = str(models.path("minilm", "tokenizer.json")) if models.present("minilm") else ""
        name = upload.source.partition("?")[0] if upload.source else upload.name
        cut = settings.chunk_tokens, settings.chunk_overlap, tokenizer
        bounds = settings.document_pages, settings.document_characters
        answer = await self._work.run(
            read,
            *(data, name, upload.media_type, *bounds, cut),
            seconds=settings.reading_seconds,
            memory=settings.reading_memory,
        )
        reading = msgspec.convert(answer, Reading)
        if reading.extract is None:
            raise _Refused(reading.refused)
        return reading

    async def _index(self, upload: StoredUpload, reading: Reading) -> None:
        answers, extract = self._answers, reading.extract
        assert extract is not None
        title = extract.title.strip()[:MOST_NAME] or upload.name
        blocks = msgspec.json.encode(extract.blocks)
        # PostgreSQL keeps no zero in a text, and no piece begins behind one less.
        text = extract.text.replace("\x00", " ")
        found = Read(title=title, kind=extract.kind, pages=extract.pages, text=text, blocks=blocks)
        chunks = [
            Chunk(
                ordinal=ordinal,
                text=piece.text.replace("\x00", " "),
                headings=[each.replace("\x00", " ") for each in piece.headings],
                page=piece.page,
                begins=piece.start,
                ends=piece.end,
                tokens=piece.tokens,
            )
            for ordinal, piece in enumerate(reading.pieces)
        ]
        document = IndexedDocument(
            id=upload.id,
            title=title,
            source=upload.source or upload.name,
            kind=extract.kind,
            tags=upload.tags,
            digest=upload.digest,
        )

        async def begin(tx: Tx) -> None:
            there = await store.lock_upload(tx, upload.collection_id, upload.id)
            if there is None or there.number != upload.number:
                raise _Outdated

        async def end(tx: Tx, indexed: Indexed) -> None:
            await self._finish(tx, upload, found, indexed, len(chunks))

        async with answers.runtime.db.read(fresh=True) as tx:
            prepared = await store.list_prepared(tx, upload.collection_id, upload.id)
        known: Vectors = {each.digest: np.frombuffer(each.embedding, np.float16).tolist() for each in prepared}
        watching = Watching(known=known, embedded=self._embedded, begin=begin, end=end)
        await index_document(answers.runtime, upload.collection_id, document, chunks, watching)
        await tell(answers, upload.collection_id, Changed(document=self._upload.shown))
        await remove_objects(answers)

    async def _finish(self, tx: Tx, upload: StoredUpload, found: Read, indexed: Indexed, chunks: int) -> None:
        """With the index changes what is shown of the document, all of it or nothing."""
        collection_id, version = upload.collection_id, indexed.version
        await store.put_reading(tx, collection_id, upload.id, found)
        await store.delete_prepared(tx, collection_id, upload.id)
        await store.keep_version(tx, collection_id, upload.id, version, upload.size, upload.key)
        oldest = version - self._answers.settings.versions + 1
        await store.doom(tx, collection_id, await store.drop_old_bytes(tx, collection_id, upload.id, oldest))
        await store.touch_collection(tx, collection_id)
        ready = await store.set_ready(tx, collection_id, upload.id, upload.number, found, version, chunks)
        assert ready is not None
        self._upload = ready

    async def _embedded(self, made: Vectors, share: float) -> None:
        """Keep what was embedded for whoever goes on when we can't, and say how far it is."""
        upload = self._upload
        prepared = [Prepared(digest, np.array(each, np.float16).tobytes()) for digest, each in made.items()]
        async with self._answers.runtime.db.transaction() as tx:
            await store.insert_prepared(tx, upload.collection_id, upload.id, prepared)
        self._work.progress(self._at + share, self._of, upload.name)
        now = asyncio.get_running_loop().time()
        if now - self._signed >= SIGNS:
            self._signed = now
            await self._say("reading", progress=share)

    async def _say(self, state: State, reason: str = "", progress: float | None = None) -> None:
        upload = self._upload
        async with self._answers.runtime.db.transaction() as tx:
            now = await store.set_state(tx, upload.collection_id, upload.id, upload.number, state, reason, progress)
        if now is None:
            raise _Outdated
        self._upload = now
        await tell(self._answers, upload.collection_id, Changed(document=now.shown))


class _Refused(Exception):
    """Why a document can't be read."""


def _sentence(reason: str) -> str:
    text = reason.strip()[:500]
    return text[:1].upper() + text[1:] if text.endswith(".") else f"{text[:1].upper()}{text[1:]}."


async def give_up(answers: Answers, tx: Tx, job_id: int, how: str) -> None:
    """Say of what a job that ended has left unread that it failed."""
    reason = "It was cancelled." if how == "cancelled" else "Reading it failed again and again."
    failed = await store.fail_uploads(tx, job_id, reason)

    async def committed() -> None:
        for each in failed:
            await tell(answers, each.collection_id, Changed(document=each.shown))

    tx.after_commit(committed)
