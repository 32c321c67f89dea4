"""SQL of collections and of the documents in them, as people see both."""

from collections.abc import Sequence

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.answers.types.library import Collection, State, StoredUpload, Version

_UPLOAD = ", ".join(field.name for field in msgspec.structs.fields(StoredUpload))
# The collection is named twice, so that a planner sees that both tables are asked for the same one.
_COLLECTION = """c.id::text, c.name, c.description, u.documents, coalesce(u.chunks, 0) AS chunks, u.failed, u.reading,
    coalesce(u.bytes, 0) AS bytes, c.created_at, c.updated_at
    FROM answers.collection c CROSS JOIN LATERAL (
        SELECT count(*) AS documents, sum(chunks)::bigint AS chunks, count(*) FILTER (WHERE state = 'failed') AS failed,
            count(*) FILTER (WHERE state IN ('waiting', 'reading')) AS reading, sum(size)::bigint AS bytes
        FROM answers.upload WHERE collection_id = %s) u"""


class Totals(msgspec.Struct, frozen=True):
    """What an account has."""

    collections: int
    bytes: int


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the bytes of a document."""

    title: str
    kind: str
    pages: int
    text: str
    blocks: bytes


class Bytes(msgspec.Struct, frozen=True, kw_only=True):
    """The text of a document and its blocks as JSON."""

    text: str
    blocks: bytes


class Kept(msgspec.Struct, frozen=True):
    """The bytes of a version."""

    size: int
    digest: bytes
    key: str


class Prepared(msgspec.Struct, frozen=True):
    digest: bytes
    embedding: bytes


class Doomed(msgspec.Struct, frozen=True):
    collection_id: int
    key: str


# --- collections ------------------------------------------------------------------------------------------------------


async def insert_collection(tx: Tx, id: int, account_id: int, name: str, description: str) -> None:
    sql = "INSERT INTO answers.collection (id, account_id, name, description) VALUES ($1, $2, $3, $4)"
    await tx.execute(sql, id, account_id, name, description)


async def count_totals(tx: Tx, account_id: int) -> Totals:
    """What an account has, on whichever server; asked when something is to be added."""
    sql = """SELECT (SELECT count(*) FROM answers.collection
                         WHERE account_id = $1 AND removed_at IS NULL) AS collections,
                 (SELECT coalesce(sum(size), 0)::bigint FROM answers.upload WHERE account_id = $1) AS bytes"""
    return await tx.one(Totals, sql, account_id)


async def list_collections(tx: Tx, account_id: int) -> list[Collection]:
    """The collections of an account, those that changed last first."""
    sql = f"""SELECT {_COLLECTION % "c.id"} WHERE c.account_id = $1 AND c.removed_at IS NULL
              ORDER BY c.updated_at DESC, c.id DESC"""
    return await tx.rows(Collection, sql, account_id)


async def find_collection(tx: Tx, account_id: int, id: int) -> Collection | None:
    sql = f"""SELECT {_COLLECTION % "$1"}
              WHERE c.id = $1 AND c.account_id = $2 AND c.removed_at IS NULL"""
    return await tx.find(Collection, sql, id, account_id)


async def owns_collection(tx: Tx, account_id: int, id: int) -> bool:
    sql = "SELECT true FROM answers.collection WHERE id = $1 AND account_id = $2 AND removed_at IS NULL"
    return bool(await tx.value(sql, id, account_id))


async def find_named(tx: Tx, account_id: int, name: str) -> int | None:
    """The oldest collection of this name."""
    sql = """SELECT id FROM answers.collection WHERE account_id = $1 AND name = $2 AND removed_at IS NULL
             ORDER BY id LIMIT 1"""
    found: int | None = await tx.value(sql, account_id, name)
    return found


async def lock_collection(tx: Tx, account_id: int, id: int) -> bool:
    """Have a collection to oneself for adding to it. Searches and indexing don't notice. False: it isn't theirs."""
    sql = """SELECT true FROM answers.collection
             WHERE id = $1 AND account_id = $2 AND removed_at IS NULL FOR NO KEY UPDATE"""
    return bool(await tx.value(sql, id, account_id))


async def update_collection(tx: Tx, account_id: int, id: int, name: str | None, description: str | None) -> bool:
    sql = """UPDATE answers.collection SET name = coalesce($3, name), description = coalesce($4, description),
                 updated_at = now()
             WHERE id = $1 AND account_id = $2 AND removed_at IS NULL"""
    return await tx.execute(sql, id, account_id, name, description) == 1


async def touch_collection(tx: Tx, id: int) -> None:
    await tx.execute("UPDATE answers.collection SET updated_at = now() WHERE id = $1", id)


async def hide_collection(tx: Tx, account_id: int, id: int) -> bool:
    """Show a collection to nobody any more. False when there was none."""
    sql = """UPDATE answers.collection SET removed_at = now()
             WHERE id = $1 AND account_id = $2 AND removed_at IS NULL"""
    return await tx.execute(sql, id, account_id) == 1


# --- documents --------------------------------------------------------------------------------------------------------


async def insert_upload(tx: Tx, upload: StoredUpload) -> StoredUpload:
    sql = f"""INSERT INTO answers.upload
                  (collection_id, id, account_id, name, source, media_type, tags, size, digest, key, state)
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'waiting') RETURNING {_UPLOAD}"""  # noqa: S608 - ours
    each = upload
    owner = each.collection_id, each.id, each.account_id
    came = each.name, each.source, each.media_type, list(each.tags), each.size, each.digest, each.key
    return await tx.one(StoredUpload, sql, *owner, *came)


async def replace_upload(tx: Tx, upload: StoredUpload) -> StoredUpload:
    """Other bytes under the same name, to be read."""
    sql = f"""UPDATE answers.upload SET number = $3, size = $4, digest = $5, key = $6, media_type = $7, tags = $8,
                  state = 'waiting', reason = '', progress = NULL, updated_at = now()
              WHERE collection_id = $1 AND id = $2 RETURNING {_UPLOAD}"""  # noqa: S608 - ours
    each = upload
    came = each.number, each.size, each.digest, each.key, each.media_type, list(each.tags)
    return await tx.one(StoredUpload, sql, each.collection_id, each.id, *came)


async def set_tags(tx: Tx, collection_id: int, id: int, tags: Sequence[str]) -> None:
    sql = """WITH indexed AS (UPDATE answers.document SET tags = $3 WHERE collection_id = $1 AND id = $2)
             UPDATE answers.upload SET tags = $3, updated_at = now() WHERE collection_id = $1 AND id = $2"""
    await tx.execute(sql, collection_id, id, list(tags))


async def keep_fetched(
    tx: Tx, collection_id: int, id: int, number: int, kept: Kept, media_type: str
) -> StoredUpload | None:
    """Note the bytes that were fetched. None when that is to be done again meanwhile, or there is no document."""
    sql = f"""UPDATE answers.upload SET size = $4, digest = $5, key = $6, media_type = $7, updated_at = now()
              WHERE collection_id = $1 AND id = $2 AND number = $3 RETURNING {_UPLOAD}"""  # noqa: S608 - ours
    return await tx.find(StoredUpload, sql, collection_id, id, number, kept.size, kept.digest, kept.key, media_type)


async def set_job(tx: Tx, collection_id: int, ids: Sequence[int], job_id: int) -> None:
    sql = "UPDATE answers.upload SET job_id = $3 WHERE collection_id = $1 AND id = ANY($2::bigint[])"
    await tx.execute(sql, collection_id, list(ids), job_id)


async def set_state(
    tx: Tx, collection_id: int, id: int, number: int, state: State, reason: str = "", progress: float | None = None
) -> StoredUpload | None:
    """Say how far the reading of these bytes is. None when there are others meanwhile, or none any more."""
    sql = f"""UPDATE answers.upload SET state = $4, reason = $5, progress = $6, updated_at = now()
              WHERE collection_id = $1 AND id = $2 AND number = $3 RETURNING {_UPLOAD}"""  # noqa: S608 - ours
    return await tx.find(StoredUpload, sql, collection_id, id, number, state, reason, progress)


async def fail_uploads(tx: Tx, job_id: int, reason: str) -> list[StoredUpload]:
    """Give up what a job has left unread, on whichever server."""
    sql = f"""UPDATE answers.upload SET state = 'failed', reason = $2, progress = NULL, updated_at = now()
              WHERE job_id = $1 AND state IN ('waiting', 'reading') RETURNING {_UPLOAD}"""  # noqa: S608 - ours
    return await tx.rows(StoredUpload, sql, job_id, reason)


async def set_ready(
    tx: Tx, collection_id: int, id: int, number: int, read: Read, version: int, chunks: int
) -> StoredUpload | None:
    sql = f"""UPDATE answers.upload SET state = 'ready', reason = '', progress = NULL, title = $4, kind = $5,
                  pages = $6, version = $7, chunks = $8, updated_at = now()
              WHERE collection_id = $1 AND id = $2 AND number = $3 RETURNING {_UPLOAD}"""  # noqa: S608 - ours
    found = read.title, read.kind, read.pages, version, chunks
    return await tx.find(StoredUpload, sql, collection_id, id, number, *found)


async def find_upload(tx: Tx, collection_id: int, id: int) -> StoredUpload | None:
    sql = f"SELECT {_UPLOAD} FROM answers.upload WHERE collection_id = $1 AND id = $2"  # noqa: S608 - ours
    return await tx.find(StoredUpload, sql, collection_id, id)


async def lock_upload(tx: Tx, collection_id: int, id: int) -> StoredUpload | None:
    """A document that nobody replaces, removes or indexes until the transaction ends. Taken before the index's row."""
    sql = f"SELECT {_UPLOAD} FROM answers.upload WHERE collection_id = $1 AND id = $2 FOR UPDATE"  # noqa: S608 - ours
    return await tx.find(StoredUpload, sql, collection_id, id)


async def find_by_name(tx: Tx, collection_id: int, name: str) -> StoredUpload | None:
    sql = f"""SELECT {_UPLOAD} FROM answers.upload
              WHERE collection_id = $1 AND name = $2 FOR UPDATE"""  # noqa: S608 - ours
    return await tx.find(StoredUpload, sql, collection_id, name)


async def find_by_digest(tx: Tx, collection_id: int, digest: bytes) -> StoredUpload | None:
    """A document of the same bytes that didn't fail."""
    sql = f"""SELECT {_UPLOAD} FROM answers.upload
              WHERE collection_id = $1 AND digest = $2 AND state <> 'failed' ORDER BY id LIMIT 1"""  # noqa: S608 - ours
    return await tx.find(StoredUpload, sql, collection_id, digest)


async def list_digests(tx: Tx, collection_id: int, digests: Sequence[bytes]) -> list[bytes]:
    """Those of which there are documents that didn't fail."""
    sql = """SELECT coalesce(array_agg(DISTINCT digest), '{}') FROM answers.upload
             WHERE collection_id = $1 AND digest = ANY($2::bytea[]) AND state <> 'failed'"""
    found: list[bytes] = await tx.value(sql, collection_id, list(digests))
    return found


async def count_uploads(tx: Tx, collection_id: int) -> int:
    found: int = await tx.value("SELECT count(*) FROM answers.upload WHERE collection_id = $1", collection_id)
    return found


async def list_uploads(
    tx: Tx, collection_id: int, state: State | None, before: int | None, limit: int
) -> list[StoredUpload]:
    """Documents of a collection, newest first."""
    sql = f"""SELECT {_UPLOAD} FROM answers.upload
              WHERE collection_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::bigint IS NULL OR id < $3)
              ORDER BY id DESC LIMIT $4"""  # noqa: S608 - ours
    return await tx.rows(StoredUpload, sql, collection_id, state, before, limit)


async def list_ids(tx: Tx, collection_id: int, limit: int) -> list[int]:
    """Some documents of a collection, whosever it was."""
    sql = """SELECT coalesce(array_agg(id), '{}') FROM (
                 SELECT id FROM answers.upload WHERE collection_id = $1 LIMIT $2) first"""
    found: list[int] = await tx.value(sql, collection_id, limit)
    return found


async def delete_upload(tx: Tx, collection_id: int, id: int) -> bool:
    sql = "DELETE FROM answers.upload WHERE collection_id = $1 AND id = $2"
    return await tx.execute(sql, collection_id, id) == 1


# --- what they say, and what they said before ------------------------------------------------------------------------


async def put_reading(tx: Tx, collection_id: int, document_id: int, read: Read) -> None:
    sql = """INSERT INTO answers.reading (collection_id, document_id, text, blocks) VALUES ($1, $2, $3, $4)
             ON CONFLICT (collection_id, document_id) DO UPDATE SET text = EXCLUDED.text, blocks = EXCLUDED.blocks"""
    await tx.execute(sql, collection_id, document_id, read.text, read.blocks)


async def find_reading(tx: Tx, collection_id: int, document_id: int) -> Bytes | None:
    sql = "SELECT text, blocks FROM answers.reading WHERE collection_id = $1 AND document_id = $2"
    return await tx.find(Bytes, sql, collection_id, document_id)


async def keep_version(tx: Tx, collection_id: int, document_id: int, version: int, size: int, key: str) -> None:
    """Note of which bytes a version was made."""
    sql = """UPDATE answers.document_version SET size = $4, key = $5
             WHERE collection_id = $1 AND document_id = $2 AND version = $3"""
    await tx.execute(sql, collection_id, document_id, version, size, key)


async def list_versions(tx: Tx, collection_id: int, document_id: int) -> list[Version]:
    """Newest first."""
    sql = """SELECT version, size, chunks, created_at FROM answers.document_version
             WHERE collection_id = $1 AND document_id = $2 ORDER BY version DESC LIMIT 100"""
    return await tx.rows(Version, sql, collection_id, document_id)


async def find_kept(tx: Tx, collection_id: int, document_id: int, version: int) -> Kept | None:
    """The bytes of a version, if they are kept."""
    sql = """SELECT size, digest, key FROM answers.document_version
             WHERE collection_id = $1 AND document_id = $2 AND version = $3 AND key <> ''"""
    return await tx.find(Kept, sql, collection_id, document_id, version)


async def drop_old_bytes(tx: Tx, collection_id: int, document_id: int, before: int) -> list[str]:
    """Forget where the bytes of versions before this one are. Where they were."""
    sql = """WITH old AS (
                 SELECT version, key FROM answers.document_version
                 WHERE collection_id = $1 AND document_id = $2 AND version < $3 AND key <> ''),
             gone AS (
                 UPDATE answers.document_version v SET key = '' FROM old
                 WHERE v.collection_id = $1 AND v.document_id = $2 AND v.version = old.version)
             SELECT coalesce(array_agg(key), '{}') FROM old"""
    found: list[str] = await tx.value(sql, collection_id, document_id, before)
    return found


async def list_keys(tx: Tx, collection_id: int, document_id: int) -> list[str]:
    """Objects of a document, of all its versions."""
    sql = """SELECT coalesce(array_agg(DISTINCT key), '{}') FROM (
                 SELECT key FROM answers.upload WHERE collection_id = $1 AND id = $2
                 UNION ALL
                 SELECT key FROM answers.document_version WHERE collection_id = $1 AND document_id = $2) keys
             WHERE key <> ''"""
    found: list[str] = await tx.value(sql, collection_id, document_id)
    return found


# --- what was embedded before a process died -------------------------------------------------------------------------


async def insert_prepared(tx: Tx, collection_id: int, document_id: int, prepared: Sequence[Prepared]) -> None:
    sql = """INSERT INTO answers.prepared (collection_id, document_id, digest, embedding)
             SELECT $1, $2, n.digest, n.embedding FROM unnest($3::bytea[], $4::bytea[]) AS n (digest, embedding)
             WHERE EXISTS (SELECT FROM answers.upload WHERE collection_id = $1 AND id = $2)
             ON CONFLICT DO NOTHING"""
    digests, embeddings = [each.digest for each in prepared], [each.embedding for each in prepared]
    await tx.execute(sql, collection_id, document_id, digests, embeddings)


async def list_prepared(tx: Tx, collection_id: int, document_id: int) -> list[Prepared]:
    sql = "SELECT digest, embedding FROM answers.prepared WHERE collection_id = $1 AND document_id = $2"
    return await tx.rows(Prepared, sql, collection_id, document_id)


async def delete_prepared(tx: Tx, collection_id: int, document_id: int) -> None:
    sql = "DELETE FROM answers.prepared WHERE collection_id = $1 AND document_id = $2"
    await tx.execute(sql, collection_id, document_id)


# --- objects ----------------------------------------------------------------------------------------------------------


async def doom(tx: Tx, collection_id: int, keys: Sequence[str], seconds: float = 0.0) -> None:
    """Say that nothing needs these objects from so many seconds on."""
    sql = """INSERT INTO answers.doomed (collection_id, key, due_at)
             SELECT $1, key, now() + make_interval(secs => $3) FROM unnest($2::text[]) AS n (key)
             ON CONFLICT (collection_id, key) DO UPDATE SET due_at = EXCLUDED.due_at"""
    await tx.execute(sql, collection_id, list(keys), seconds)


async def spare(tx: Tx, collection_id: int, keys: Sequence[str]) -> int:
    """Say that a row has these objects now. How many there were to be spared."""
    sql = "DELETE FROM answers.doomed WHERE collection_id = $1 AND key = ANY($2::text[])"
    return await tx.execute(sql, collection_id, list(keys))


async def list_doomed(tx: Tx, limit: int) -> list[Doomed]:
    """Objects that nothing needs, on whichever server."""
    sql = "SELECT collection_id, key FROM answers.doomed WHERE due_at <= now() ORDER BY due_at LIMIT $1"
    return await tx.rows(Doomed, sql, limit)
