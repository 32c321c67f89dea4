"""Documents come in: kept first, acknowledged, then read, cut, embedded and indexed by a job."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import PurePosixPath
from urllib.parse import urldefrag

import msgspec
import numpy as np
import structlog

from tenfold.platform.blobs import BlobMissing, extension
from tenfold.platform.db import Tx
from tenfold.platform.errors import PayloadTooLarge, Unavailable
from tenfold.platform.identity import Principal
from tenfold.platform.jobs import ConfinedFailed, Work, job
from tenfold.platform.limits import Limit
from tenfold.platform.models import Models
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.indexing import Indexed, Vectors, Watching, index_document, merge_segments
from tenfold.systems.answers.actions.library import SCOPE, own, remove_objects, tell
from tenfold.systems.answers.engine.archives import members
from tenfold.systems.answers.engine.extraction import kind_of
from tenfold.systems.answers.engine.fetching import fetch
from tenfold.systems.answers.engine.reading import Reading, read
from tenfold.systems.answers.errors import (
    CollectionFull,
    CollectionNotFound,
    DocumentEmpty,
    DocumentNotFound,
    FetchRefused,
    LibraryFull,
)
from tenfold.systems.answers.store import library as store
from tenfold.systems.answers.store.library import Kept, Prepared, Read
from tenfold.systems.answers.types.index import Chunk, IndexedDocument
from tenfold.systems.answers.types.library import (
    MOST_NAME,
    Changed,
    Document,
    Duplicate,
    FetchDocument,
    Received,
    State,
    StoredUpload,
)

log = structlog.get_logger(__name__)

#: Requests that bring documents.
SEND = Limit(
    "answers.document",
    {"anonymous": "1/minute", "free": "300/minute", "plus": "600/minute", "enterprise": "6000/minute"},
)
#: Documents that a job reads, one after the other; others of the same request are other jobs', side by side.
BATCH = 16
#: Seconds that an object may be there before a row has it.
PATIENCE = 3600.0
#: Seconds between two signs of progress of a document.
SIGNS = 0.5
ANYTHING = "application/octet-stream"
_ZIP = ("application/zip", "application/x-zip-compressed")


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


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file whose bytes are an object."""

    name: str
    source: str
    media_type: str
    size: int
    digest: bytes
    key: str
    id: int


# --- what somebody sends ----------------------------------------------------------------------------------------------


async def send(answers: Answers, collection_id: int, sent: Sent, tags: Sequence[str], principal: Principal) -> Received:
    """Keep a file, or those in an archive, to be read.

    Raises CollectionNotFound, DocumentEmpty, PayloadTooLarge, ArchiveRefused, CollectionFull, LibraryFull, TooManyJobs.
    """
    await own(answers, collection_id, principal)
    await answers.runtime.limits.take(SEND, principal)
    if not sent.data:
        raise DocumentEmpty(name=sent.name)
    if _is_archive(sent):
        files, skipped = await asyncio.to_thread(_unpack, answers, sent)
        return await keep(answers, collection_id, files, tags, principal, skipped)
    if len(sent.data) > answers.settings.document_bytes:
        raise PayloadTooLarge(limit=answers.settings.document_bytes)
    return await keep(answers, collection_id, [sent], tags, principal)


def _is_archive(sent: Sent) -> bool:
    named = PurePosixPath(sent.name).suffix.lower() == ".zip" or sent.media_type in _ZIP
    return named and sent.data.startswith(b"PK")


def _unpack(answers: Answers, sent: Sent) -> tuple[list[Sent], list[str]]:
    """The documents in an archive, and the names of what is none."""
    settings = answers.settings
    files: dict[str, Sent] = {}
    skipped: list[str] = []
    found = members(
        sent.data, most=settings.archive_files, each=settings.document_bytes, together=settings.unpacked_bytes
    )
    for name, data in found:
        readable = data and len(name) <= MOST_NAME and name.isprintable() and kind_of(name, "", data[:8]) is not None
        if readable:
            files[name] = Sent(name, data)  # of two with one name the later counts, as when it is unpacked
        else:
            skipped.append(name[:MOST_NAME])
    if not files:
        raise DocumentEmpty(name=sent.name)
    return list(files.values()), skipped


async def keep(
    answers: Answers,
    collection_id: int,
    files: Sequence[Sent],
    tags: Sequence[str],
    principal: Principal,
    skipped: Sequence[str] = (),
) -> Received:
    """Keep files: the objects first, then the rows and the jobs together. What is there already is only said to be."""
    runtime, account_id = answers.runtime, principal.require(SCOPE)
    kept: list[_Kept] = []
    for each in files:
        digest = await asyncio.to_thread(_digest, each.data)
        key = _key(answers, collection_id, each)
        kind, size = each.media_type or ANYTHING, len(each.data)
        kept.append(_Kept(each.name, "", kind, size, digest, key, runtime.ids.next()))
    async with runtime.db.read(fresh=True) as tx:
        known = set(await store.list_digests(tx, collection_id, [each.digest for each in kept]))
    # Whatever becomes of us, an object that no row has is removed in the end.
    async with runtime.db.transaction() as tx:
        await store.doom(tx, collection_id, [each.key for each in kept], PATIENCE)
    for there, sent in zip(kept, files, strict=True):
        if there.digest not in known:
            await runtime.blobs.put(there.key, sent.data)
    return await _receive(answers, account_id, collection_id, kept, tags, known, files, skipped)


async def _receive(
    answers: Answers,
    account_id: int,
    collection_id: int,
    kept: Sequence[_Kept],
    tags: Sequence[str],
    known: set[bytes],
    files: Sequence[Sent | None],
    skipped: Sequence[str],
) -> Received:
    """Make rows of what is kept, and the jobs that read it."""
    runtime = answers.runtime
    changed: dict[int, StoredUpload] = {}
    same: list[StoredUpload] = []
    duplicates: list[Duplicate] = []
    async with runtime.db.transaction() as tx:
        if not await store.lock_collection(tx, account_id, collection_id):
            raise CollectionNotFound
        bytes_before = (await store.count_totals(tx, account_id)).bytes
        room = answers.settings.documents - await store.count_uploads(tx, collection_id)
        taken: list[str] = []
        for each, sent in zip(kept, files, strict=True):
            there = await store.find_by_name(tx, collection_id, each.name)
            alike = None if there or not each.digest else await store.find_by_digest(tx, collection_id, each.digest)
            if alike is not None:
                duplicates.append(Duplicate(name=each.name, document_id=str(alike.id)))
                continue
            if there is not None and there.digest == each.digest and each.digest and there.state != "failed":
                same.append(await _tagged(tx, there, tags))
                continue
            if each.digest in known and sent is not None:
                # It was there under another name or came back to what it was: its object wasn't sent before.
                await runtime.blobs.put(each.key, sent.data)
            if each.key:
                taken.append(each.key)
            if there is None:
                room -= 1
                changed[each.id] = await _insert(tx, account_id, collection_id, each, tags)
            else:
                changed[there.id] = await _replace(tx, there, each, tags)
        if room < 0:
            raise CollectionFull(most=answers.settings.documents)
        if bytes_before + sum(each.size for each in changed.values()) > answers.settings.account_bytes:
            raise LibraryFull(most=answers.settings.account_bytes // 1024**2)
        if await store.spare(tx, collection_id, taken) < len(taken):
            raise Unavailable(part="The objects of this upload (it took too long)")
        await store.doom(tx, collection_id, [each.key for each in kept if each.key and each.key not in taken])
        jobs = await _submit(answers, tx, account_id, collection_id, list(changed.values()))
        if changed:
            await store.touch_collection(tx, collection_id)
    for upload in changed.values():
        await tell(answers, collection_id, Changed(document=upload.shown))
    await remove_objects(answers)
    items = [each.shown for each in (*changed.values(), *same)]
    return Received(items=items, job_ids=[str(each) for each in jobs], duplicates=duplicates, skipped=skipped)


async def _insert(tx: Tx, account_id: int, collection_id: int, each: _Kept, tags: Sequence[str]) -> StoredUpload:
    upload = StoredUpload(
        collection_id=collection_id,
        id=each.id,
        account_id=account_id,
        name=each.name,
        source=each.source,
        media_type=each.media_type,
        tags=tags,
        size=each.size,
        digest=each.digest,
        key=each.key,
    )
    return await store.insert_upload(tx, upload)


async def _replace(tx: Tx, there: StoredUpload, each: _Kept, tags: Sequence[str]) -> StoredUpload:
    """Other bytes for a document. Those before them stay as long as a version is made of them."""
    if there.state != "ready" and there.key:
        await store.doom(tx, there.collection_id, [there.key])
    return await store.replace_upload(
        tx,
        msgspec.structs.replace(
            there,
            number=there.number + 1,
            size=each.size,
            digest=each.digest,
            key=each.key,
            media_type=each.media_type,
            tags=tags or there.tags,
        ),
    )


async def _tagged(tx: Tx, there: StoredUpload, tags: Sequence[str]) -> StoredUpload:
    """The same bytes with other tags: nothing is read again for those."""
    if not tags or list(tags) == list(there.tags):
        return there
    await store.set_tags(tx, there.collection_id, there.id, tags)
    return msgspec.structs.replace(there, tags=tags)


async def _submit(
    answers: Answers, tx: Tx, account_id: int, collection_id: int, uploads: Sequence[StoredUpload]
) -> list[int]:
    ids: list[int] = []
    for part in batched(uploads, BATCH):
        payload = Ingest(collection_id, [(each.id, each.number) for each in part])
        ids.append(await answers.runtime.jobs.submit(tx, ingest, payload, account_id=account_id))
        await store.set_job(tx, collection_id, [each.id for each in part], ids[-1])
    return ids


def _key(answers: Answers, collection_id: int, sent: Sent) -> str:
    # Its type is what browsers are told it is, so of what is said only what we know counts.
    kind = {"pdf": "pdf", "html": "html", "markdown": "md", "docx": "docx", "csv": "csv", "text": "txt"}
    known = kind.get(kind_of(sent.name, sent.media_type, sent.data[:8]) or "", extension(sent.media_type))
    return f"answers/{collection_id}/{answers.runtime.ids.next()}.{known}"


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


async def send_address(answers: Answers, collection_id: int, data: FetchDocument, principal: Principal) -> Received:
    """Have the document at an address fetched and read. The same address again has it fetched again."""
    account_id = await own(answers, collection_id, principal)
    await answers.runtime.limits.take(SEND, principal)
    address = urldefrag(data.url).url
    wanted = _Kept(address, address, "", 0, b"", "", answers.runtime.ids.next())
    return await _receive(answers, account_id, collection_id, [wanted], data.tags, set(), [None], ())


async def retry(answers: Answers, collection_id: int, id: int, principal: Principal) -> Document:
    """Read a document again that failed; what didn't fail stays as it is. Raises DocumentNotFound."""
    account_id = await own(answers, collection_id, principal)
    await answers.runtime.limits.take(SEND, principal)
    async with answers.runtime.db.transaction() as tx:
        there = await store.lock_upload(tx, collection_id, id)
        if there is None:
            raise DocumentNotFound
        if there.state != "failed":
            return there.shown
        waiting = await store.set_state(tx, collection_id, id, there.number, "waiting")
        assert waiting is not None
        await _submit(answers, tx, account_id, collection_id, [waiting])
    await tell(answers, collection_id, Changed(document=waiting.shown))
    return waiting.shown


# --- what is made of it ----------------------------------------------------------------------------------------------


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
        digest = await asyncio.to_thread(_digest, found.data)
        where = upload.collection_id, upload.id
        async with answers.runtime.db.transaction() as tx:
            before = await store.find_kept(tx, *where, upload.version)
            if before is not None and before.digest == digest:
                await store.keep_fetched(tx, *where, upload.number, before, found.media_type)
        if before is not None and before.digest == digest:
            await self._say("ready")
            return self._upload
        key = _key(answers, upload.collection_id, Sent(upload.source.partition("?")[0], found.data, found.media_type))
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
