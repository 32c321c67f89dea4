"""SQL of documents and their chunks, which commit together with both of their indexes."""

from collections.abc import Sequence

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.answers.types.index import Chunk, IndexedDocument, Stored


class Known(msgspec.Struct, frozen=True):
    """A chunk that is there."""

    id: int
    digest: bytes


class NewChunk(msgspec.Struct, frozen=True):
    """A chunk that is to be there."""

    id: int
    chunk: Chunk
    digest: bytes
    #: Of BM25.
    terms: int
    embedding: Sequence[float]


async def insert_collection(tx: Tx, id: int, account_id: int, name: str) -> None:
    sql = "INSERT INTO answers.collection (id, account_id, name) VALUES ($1, $2, $3)"
    await tx.execute(sql, id, account_id, name)


async def delete_collection(tx: Tx, id: int) -> bool:
    """Remove a collection with all that is in it. False when there was none."""
    return await tx.execute("DELETE FROM answers.collection WHERE id = $1", id) == 1


async def lock_collection(tx: Tx, id: int) -> bool:
    """Keep a collection from being removed until the transaction ends. False when there is none."""
    sql = "SELECT true FROM answers.collection WHERE id = $1 FOR KEY SHARE"
    return bool(await tx.value(sql, id))


async def put_document(tx: Tx, collection_id: int, document: IndexedDocument) -> int:
    """Keep what is known of a document, and lock it: who writes it at once waits. Its version."""
    sql = """INSERT INTO answers.document AS d (collection_id, id, title, source, kind, tags, dated_at, digest)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (collection_id, id) DO UPDATE SET
                 title = EXCLUDED.title, source = EXCLUDED.source, kind = EXCLUDED.kind, tags = EXCLUDED.tags,
                 dated_at = EXCLUDED.dated_at, digest = EXCLUDED.digest, version = d.version + 1, updated_at = now()
             RETURNING version"""
    each = document
    version: int = await tx.value(
        sql, collection_id, each.id, each.title, each.source, each.kind, list(each.tags), each.dated_at, each.digest
    )
    return version


async def insert_version(
    tx: Tx, collection_id: int, document_id: int, version: int, digest: bytes, chunks: int
) -> None:
    sql = """INSERT INTO answers.document_version (collection_id, document_id, version, digest, chunks)
             VALUES ($1, $2, $3, $4, $5)"""
    await tx.execute(sql, collection_id, document_id, version, digest, chunks)


async def lock_document(tx: Tx, collection_id: int, document_id: int) -> bool:
    sql = "SELECT true FROM answers.document WHERE collection_id = $1 AND id = $2 FOR UPDATE"
    return bool(await tx.value(sql, collection_id, document_id))


async def delete_document(tx: Tx, collection_id: int, document_id: int) -> bool:
    """Remove a document whose chunks are gone. False when there was none."""
    sql = "DELETE FROM answers.document WHERE collection_id = $1 AND id = $2"
    return await tx.execute(sql, collection_id, document_id) == 1


async def list_known(tx: Tx, collection_id: int, document_id: int) -> list[Known]:
    """The chunks of a document, in its order."""
    sql = """SELECT id, digest FROM answers.chunk WHERE collection_id = $1 AND document_id = $2 ORDER BY ordinal, id"""
    return await tx.rows(Known, sql, collection_id, document_id)


async def insert_chunks(tx: Tx, collection_id: int, document_id: int, chunks: Sequence[NewChunk]) -> None:
    """Keep chunks with their embeddings; their postings are a segment's."""
    if not chunks:
        return
    columns = ("collection_id", "id", "document_id", "ordinal", "headings", "page", "begins", "ends", "text", "tokens")
    records = [
        (
            *(collection_id, each.id, document_id, each.chunk.ordinal, list(each.chunk.headings), each.chunk.page),
            *(each.chunk.begins, each.chunk.ends, each.chunk.text, each.chunk.tokens, each.terms, each.digest),
        )
        for each in chunks
    ]
    await tx.copy("answers.chunk", (*columns, "terms", "digest"), records)
    sql = """INSERT INTO answers.embedding (collection_id, chunk_id, document_id, embedding)
             SELECT $1, n.id, $2, n.vector::public.halfvec FROM unnest($3::bigint[], $4::text[]) AS n (id, vector)"""
    vectors = [vector(each.embedding) for each in chunks]
    await tx.execute(sql, collection_id, document_id, [each.id for each in chunks], vectors)


async def move_chunks(tx: Tx, collection_id: int, chunks: Sequence[tuple[int, Chunk]]) -> None:
    """Chunks whose words are as they were stand elsewhere in their document now. No index hears of it."""
    sql = """UPDATE answers.chunk AS c SET ordinal = n.ordinal, page = n.page, begins = n.begins, ends = n.ends
             FROM unnest($2::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::integer[])
                 AS n (id, ordinal, page, begins, ends)
             WHERE c.collection_id = $1 AND c.id = n.id
                 AND (c.ordinal, c.page, c.begins, c.ends) IS DISTINCT FROM (n.ordinal, n.page, n.begins, n.ends)"""
    places = [(key, each.ordinal, each.page, each.begins, each.ends) for key, each in chunks]
    await tx.execute(sql, collection_id, *[list(column) for column in zip(*places, strict=True)] or [[]] * 5)


async def delete_chunks(tx: Tx, collection_id: int, ids: Sequence[int]) -> None:
    """Remove chunks with their embeddings, and note for the segments that they are gone."""
    sql = """WITH gone AS (
                 DELETE FROM answers.chunk WHERE collection_id = $1 AND id = ANY($2::bigint[]) RETURNING id, terms)
             INSERT INTO answers.dead (collection_id, chunk_id, terms) SELECT $1, id, terms FROM gone"""
    await tx.execute(sql, collection_id, list(ids))


async def list_chunks(tx: Tx, collection_id: int, ids: Sequence[int]) -> list[Stored]:
    """Chunks with what their documents say of themselves, in any order."""
    sql = """SELECT c.id, c.document_id, d.title, d.source, d.kind, c.ordinal, c.headings, c.page, c.begins, c.ends,
                 c.text, c.tokens
             FROM answers.chunk c JOIN answers.document d ON d.collection_id = $1 AND d.id = c.document_id
             WHERE c.collection_id = $1 AND c.id = ANY($2::bigint[])"""
    return await tx.rows(Stored, sql, collection_id, list(ids))


def vector(numbers: Sequence[float]) -> str:
    """As pgvector reads it; half precision has no more digits than these."""
    return f"[{','.join([f'{number:.5g}' for number in numbers])}]"
