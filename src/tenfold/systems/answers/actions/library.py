"""Collections and the documents in them: what there is, what changes, what goes."""

import msgspec

from tenfold.platform.identity import Principal
from tenfold.platform.jobs import Work, job
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.indexing import take_out
from tenfold.systems.answers.errors import CollectionNotFound, DocumentNotFound, TooManyCollections, VersionNotFound
from tenfold.systems.answers.store import asking as asking_store
from tenfold.systems.answers.store import chunks as chunks_store
from tenfold.systems.answers.store import library as store
from tenfold.systems.answers.types.library import (
    ChangeCollection,
    Changed,
    Collection,
    Collections,
    CreateCollection,
    Document,
    Documents,
    State,
    StoredUpload,
    Text,
    Version,
    Versions,
)
from tenfold.systems.answers.types.reading import Block

#: What an application must have been granted, for an account whose documents these are.
SCOPE = "answers"
#: Documents of a collection that are removed between two looks for more, and objects that are removed at once.
AT_ONCE, OBJECTS = 50, 500


async def own(answers: Answers, collection_id: int, principal: Principal) -> int:
    """The account whose collection this is, which is who asks. Raises Unauthorized, CollectionNotFound."""
    account_id = principal.require(SCOPE)
    async with answers.runtime.db.read(fresh=True) as tx:
        if not await store.owns_collection(tx, account_id, collection_id):
            raise CollectionNotFound
    return account_id


async def create(answers: Answers, data: CreateCollection, principal: Principal) -> Collection:
    """Raises Unauthorized, TooManyCollections."""
    account_id, collection_id = principal.require(SCOPE), answers.runtime.ids.next()
    async with answers.runtime.db.transaction() as tx:
        if (await store.count_totals(tx, account_id)).collections >= answers.settings.collections:
            raise TooManyCollections(most=answers.settings.collections)
        await store.insert_collection(tx, collection_id, account_id, data.name.strip(), data.description.strip())
    return await find(answers, collection_id, principal)


async def list_collections(answers: Answers, principal: Principal) -> Collections:
    """One's own, those that changed last first."""
    account_id = principal.require(SCOPE)
    async with answers.runtime.db.read(fresh=True) as tx:
        return Collections(items=await store.list_collections(tx, account_id))


async def find(answers: Answers, id: int, principal: Principal) -> Collection:
    """Raises CollectionNotFound."""
    account_id = principal.require(SCOPE)
    async with answers.runtime.db.read(fresh=True) as tx:
        found = await store.find_collection(tx, account_id, id)
    if found is None:
        raise CollectionNotFound
    return found


async def change(answers: Answers, id: int, data: ChangeCollection, principal: Principal) -> Collection:
    """Raises CollectionNotFound."""
    account_id = principal.require(SCOPE)
    name = None if data.name is None else data.name.strip()
    description = None if data.description is None else data.description.strip()
    async with answers.runtime.db.transaction() as tx:
        if not await store.update_collection(tx, account_id, id, name, description):
            raise CollectionNotFound
    return await find(answers, id, principal)


class Removal(msgspec.Struct, frozen=True):
    collection_id: int


async def delete(answers: Answers, id: int, principal: Principal) -> None:
    """Remove a collection: at once as far as anybody can see, what is in it soon. Raises CollectionNotFound."""
    account_id = principal.require(SCOPE)
    async with answers.runtime.db.transaction() as tx:
        if not await store.hide_collection(tx, account_id, id):
            raise CollectionNotFound
        await asking_store.delete_conversations(tx, account_id, id)  # they quote what is in it
        await answers.runtime.jobs.submit(tx, remove_collection, Removal(id), account_id=None)


@job(Removal, name="answers-remove-collection", attempts=20, timeout=12 * 3600.0)
async def remove_collection(answers: Answers, work: Work[Removal]) -> None:
    """Remove what is in a collection, document by document, then the collection. Nothing waits for it meanwhile."""
    collection_id = work.payload.collection_id
    done = 0
    while True:
        async with answers.runtime.db.read(fresh=True) as tx:
            ids = await store.list_ids(tx, collection_id, AT_ONCE)
        if not ids:
            break
        for document_id in ids:
            await _remove(answers, collection_id, document_id)
        done += len(ids)
        work.progress(done, note="documents")
        await remove_objects(answers)
    async with answers.runtime.db.transaction() as tx:
        await chunks_store.delete_collection(tx, collection_id)


async def list_documents(
    answers: Answers, collection_id: int, principal: Principal, state: State | None, before: int | None, limit: int
) -> Documents:
    """Newest first. Raises CollectionNotFound."""
    await own(answers, collection_id, principal)
    async with answers.runtime.db.read(fresh=True) as tx:
        found = await store.list_uploads(tx, collection_id, state, before, limit)
    return Documents(items=[each.shown for each in found], next=str(found[-1].id) if len(found) == limit else None)


async def find_upload(answers: Answers, collection_id: int, id: int, principal: Principal) -> StoredUpload:
    """Raises CollectionNotFound, DocumentNotFound."""
    await own(answers, collection_id, principal)
    async with answers.runtime.db.read(fresh=True) as tx:
        found = await store.find_upload(tx, collection_id, id)
    if found is None:
        raise DocumentNotFound
    return found


async def find_document(answers: Answers, collection_id: int, id: int, principal: Principal) -> Document:
    return (await find_upload(answers, collection_id, id, principal)).shown


async def read_text(answers: Answers, collection_id: int, id: int, principal: Principal) -> Text:
    """What a document says. Raises DocumentNotFound, also while it hasn't been read."""
    upload = await find_upload(answers, collection_id, id, principal)
    async with answers.runtime.db.read(fresh=True) as tx:
        found = await store.find_reading(tx, collection_id, id)
    if found is None:
        raise DocumentNotFound
    return Text(
        title=upload.title,
        kind=upload.kind,
        text=found.text,
        blocks=msgspec.json.decode(found.blocks, type=list[Block]),
        pages=upload.pages,
        version=upload.version,
    )


async def list_versions(answers: Answers, collection_id: int, id: int, principal: Principal) -> Versions:
    """Newest first."""
    await find_upload(answers, collection_id, id, principal)
    async with answers.runtime.db.read(fresh=True) as tx:
        found: list[Version] = await store.list_versions(tx, collection_id, id)
    return Versions(items=found)


async def find_object(
    answers: Answers, collection_id: int, id: int, version: int | None, principal: Principal
) -> tuple[StoredUpload, str]:
    """A document, and where the bytes are that came last, or those of a version. Raises VersionNotFound."""
    upload = await find_upload(answers, collection_id, id, principal)
    key: str | None = upload.key
    if version is not None:
        async with answers.runtime.db.read(fresh=True) as tx:
            kept = await store.find_kept(tx, collection_id, id, version)
        key = None if kept is None else kept.key
    if not key:
        raise VersionNotFound
    return upload, key


async def delete_document(answers: Answers, collection_id: int, id: int, principal: Principal) -> None:
    """Remove a document with all that was made of it; it answers nothing from then on. Raises DocumentNotFound."""
    await own(answers, collection_id, principal)
    if not await _remove(answers, collection_id, id):
        raise DocumentNotFound
    await tell(answers, collection_id, Changed(removed=str(id)))
    await remove_objects(answers)


async def _remove(answers: Answers, collection_id: int, id: int) -> bool:
    async with answers.runtime.db.transaction() as tx:
        # First this row, then the index's: who indexes takes them in the same order.
        if await store.lock_upload(tx, collection_id, id) is None:
            return False
        await store.doom(tx, collection_id, await store.list_keys(tx, collection_id, id))
        await take_out(tx, collection_id, id)
        await store.delete_upload(tx, collection_id, id)
        await store.touch_collection(tx, collection_id)
    return True


async def remove_objects(answers: Answers) -> None:
    """Remove objects that nothing needs."""
    while True:
        async with answers.runtime.db.read(fresh=True) as tx:
            doomed = await store.list_doomed(tx, OBJECTS)
        if not doomed:
            return
        await answers.runtime.blobs.delete(*[each.key for each in doomed])
        by_collection: dict[int, list[str]] = {}
        for each in doomed:
            by_collection.setdefault(each.collection_id, []).append(each.key)
        for collection_id, keys in by_collection.items():
            async with answers.runtime.db.transaction() as tx:
                await store.spare(tx, collection_id, keys)


def topic(collection_id: int) -> str:
    """The live topic of a collection: a Changed for each document that changes or goes."""
    return f"answers.collection.{collection_id}"


async def tell(answers: Answers, collection_id: int, changed: Changed) -> None:
    """Show those who watch a collection what has changed in it."""
    await answers.runtime.live.publish(topic(collection_id), changed)
