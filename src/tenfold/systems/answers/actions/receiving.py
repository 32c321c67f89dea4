"""Documents come in: their bytes are kept, and acknowledged once rows and jobs say what is to be done with them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import PurePosixPath
from urllib.parse import urldefrag

import msgspec

from tenfold.platform.db import Tx
from tenfold.platform.errors import PayloadTooLarge, Unavailable
from tenfold.platform.identity import Principal
from tenfold.platform.limits import Limit
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.ingestion import PATIENCE, Ingest, Sent, digest_of, ingest, key_of
from tenfold.systems.answers.actions.library import SCOPE, own, remove_objects, tell
from tenfold.systems.answers.actions.sending import receive, whole
from tenfold.systems.answers.engine.archives import members
from tenfold.systems.answers.engine.extraction import kind_of
from tenfold.systems.answers.errors import (
    CollectionFull,
    CollectionNotFound,
    DocumentEmpty,
    DocumentNotFound,
    LibraryFull,
)
from tenfold.systems.answers.store import library as store
from tenfold.systems.answers.types.library import (
    MOST_NAME,
    Changed,
    Document,
    Duplicate,
    FetchDocument,
    Received,
    StoredUpload,
)

#: Requests that bring documents.
SEND = Limit(
    "answers.document",
    {"anonymous": "1/minute", "free": "300/minute", "plus": "600/minute", "enterprise": "6000/minute"},
)
#: Documents that a job reads, one after the other; others of the same request are other jobs', side by side.
BATCH = 16
ANYTHING = "application/octet-stream"
_ZIP = ("application/zip", "application/x-zip-compressed")


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


async def send(
    answers: Answers,
    collection_id: int,
    name: str,
    media_type: str,
    body: AsyncIterator[bytes],
    tags: Sequence[str],
    principal: Principal,
) -> Received:
    """Keep a file as it comes, or those in an archive, to be read. Nothing of it is taken from who may not send it.

    Raises CollectionNotFound, TooManyRequests, SentTooSlowly, DocumentEmpty, PayloadTooLarge, ArchiveRefused,
    CollectionFull, LibraryFull, TooManyJobs.
    """
    account_id = await own(answers, collection_id, principal)
    await answers.runtime.limits.take(SEND, principal)
    with answers.sending.receiving(account_id) as file:
        await receive(body, file, answers.settings)
        async with answers.sending.room:
            sent = Sent(name, await asyncio.to_thread(whole, file), media_type)
            return await _keep_sent(answers, collection_id, sent, tags, principal)


async def _keep_sent(
    answers: Answers, collection_id: int, sent: Sent, tags: Sequence[str], principal: Principal
) -> Received:
    if not sent.data:
        raise DocumentEmpty(name=sent.name)
    if _is_archive(sent):
        async with answers.sending.unpacking:
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
        digest = await asyncio.to_thread(digest_of, each.data)
        key = key_of(answers, collection_id, each)
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
