"""SQL of the BM25 index: segments, postings by term, and what is gone."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from tenfold.platform.db import Tx
from tenfold.systems.answers.rules.segments import Ids, Segment, pack


class Kept(msgspec.Struct, frozen=True):
    """A segment that is there."""

    id: int
    chunks: int
    packed: bool


class Body(msgspec.Struct, frozen=True):
    id: int
    body: bytes


class Row(msgspec.Struct, frozen=True):
    """Where a term is in a segment."""

    segment_id: int
    term: str
    postings: bytes


async def insert_segment(tx: Tx, collection_id: int, id: int, segment: Segment) -> None:
    """Keep a segment; a large one's postings as rows."""
    sql = """INSERT INTO answers.segment (collection_id, id, chunks, terms, packed, body)
             VALUES ($1, $2, $3, $4, $5, $6)"""
    chunks, body = len(segment.chunks), pack(segment)
    await tx.execute(sql, collection_id, id, chunks, segment.length, segment.packed, body)
    if not segment.packed:
        rows = ((collection_id, id, term, postings) for term, postings in segment.rows())
        await tx.copy("answers.posting", ("collection_id", "segment_id", "term", "postings"), rows)


async def list_segments(tx: Tx, collection_id: int) -> list[Kept]:
    """The segments of a collection, the oldest first."""
    sql = "SELECT id, chunks, packed FROM answers.segment WHERE collection_id = $1 ORDER BY id"
    return await tx.rows(Kept, sql, collection_id)


async def lock_segments(tx: Tx, collection_id: int, ids: Iterable[int]) -> list[Kept]:
    """Those of the segments that are there and that nobody merges, locked."""
    sql = """SELECT id, chunks, packed FROM answers.segment
             WHERE collection_id = $1 AND id = ANY($2::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED"""
    return await tx.rows(Kept, sql, collection_id, list(ids))


async def list_bodies(tx: Tx, collection_id: int, ids: Sequence[int]) -> list[Body]:
    sql = "SELECT id, body FROM answers.segment WHERE collection_id = $1 AND id = ANY($2::bigint[])"
    return await tx.rows(Body, sql, collection_id, list(ids))


async def list_postings(tx: Tx, collection_id: int, segment_ids: Sequence[int], terms: Sequence[str]) -> list[Row]:
    """Where terms are in segments whose postings are rows."""
    sql = """SELECT segment_id, term, postings FROM answers.posting
             WHERE collection_id = $1 AND segment_id = ANY($2::bigint[]) AND term = ANY($3::text[])"""
    return await tx.rows(Row, sql, collection_id, list(segment_ids), list(terms))


async def list_all_postings(tx: Tx, collection_id: int, segment_id: int) -> list[Row]:
    """Of each term of a segment, in their order by code point, as Python has it."""
    sql = """SELECT segment_id, term, postings FROM answers.posting
             WHERE collection_id = $1 AND segment_id = $2 ORDER BY term COLLATE "C" """
    return await tx.rows(Row, sql, collection_id, segment_id)


async def list_dead(tx: Tx, collection_id: int) -> Ids:
    """The chunks that are gone and that segments still have, ascending."""
    # As one value, since there may be thousands.
    sql = """SELECT string_agg(int8send(chunk_id), ''::bytea ORDER BY chunk_id) FROM answers.dead
             WHERE collection_id = $1"""
    return _ids(await tx.value(sql, collection_id))


async def delete_segments(tx: Tx, collection_id: int, ids: Sequence[int]) -> None:
    """Remove segments with their postings."""
    sql = "DELETE FROM answers.segment WHERE collection_id = $1 AND id = ANY($2::bigint[])"
    await tx.execute(sql, collection_id, list(ids))


async def delete_dead(tx: Tx, collection_id: int, chunk_ids: Sequence[int]) -> None:
    """Forget chunks that no segment has any more."""
    sql = "DELETE FROM answers.dead WHERE collection_id = $1 AND chunk_id = ANY($2::bigint[])"
    await tx.execute(sql, collection_id, list(chunk_ids))


def _ids(sent: bytes | None) -> Ids:
    return np.frombuffer(sent or b"", ">i8").astype(np.int64)
