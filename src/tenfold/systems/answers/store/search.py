"""SQL of searches: the nearest embeddings, and which documents a filter leaves."""

from collections.abc import Sequence

import numpy as np

from tenfold.platform.db import Tx
from tenfold.systems.answers.rules.segments import Ids
from tenfold.systems.answers.store.chunks import vector
from tenfold.systems.answers.types.index import Filters, Hit


def _wanted(first: int) -> str:
    """The condition that a filter puts on documents d; its arguments begin with this one."""
    ids, kinds, tags, since, before = (f"${number}" for number in range(first, first + 5))
    return f"""(cardinality({ids}::bigint[]) = 0 OR d.id = ANY({ids}))
               AND (cardinality({kinds}::text[]) = 0 OR d.kind = ANY({kinds})) AND d.tags @> {tags}::text[]
               AND ({since}::timestamptz IS NULL OR d.dated_at >= {since})
               AND ({before}::timestamptz IS NULL OR d.dated_at < {before})"""


def _arguments(filters: Filters) -> tuple[object, ...]:
    each = filters
    return list(each.document_ids), list(each.kinds), list(each.tags), each.since, each.before


def _joined(filters: Filters) -> str:
    if not filters.any:
        return ""
    return f"JOIN answers.document d ON d.collection_id = $1 AND d.id = e.document_id AND {_wanted(4)}"


async def count_chunks(tx: Tx, collection_id: int, most: int, filters: Filters) -> int:
    """Chunks that are searched, counted up to so many."""
    if not filters.any:
        sql = "SELECT coalesce(sum(chunks), 0) FROM answers.segment WHERE collection_id = $1"
        return min(most, int(await tx.value(sql, collection_id)))
    sql = f"""SELECT count(*) FROM (
                 SELECT FROM answers.document d
                 JOIN answers.chunk c ON c.collection_id = $1 AND c.document_id = d.id
                 WHERE d.collection_id = $1 AND {_wanted(3)} LIMIT $2) found"""  # noqa: S608 - ours
    return int(await tx.value(sql, collection_id, most, *_arguments(filters)))


async def list_documents(tx: Tx, collection_id: int, filters: Filters) -> Ids:
    """The documents that a filter leaves."""
    sql = f"""SELECT string_agg(int8send(d.id), ''::bytea) FROM answers.document d
              WHERE d.collection_id = $1 AND {_wanted(2)}"""  # noqa: S608 - ours
    return np.frombuffer(await tx.value(sql, collection_id, *_arguments(filters)) or b"", ">i8").astype(np.int64)


async def list_nearest(
    tx: Tx, collection_id: int, embedding: Sequence[float], limit: int, filters: Filters
) -> list[Hit]:
    """The chunks that are nearest to an embedding, with their cosines, by comparing all of them."""
    # Materialised, so that no index of neighbours is asked, whose first might all be of other collections.
    sql = f"""WITH near AS MATERIALIZED (
                  SELECT e.chunk_id AS id, e.embedding OPERATOR(public.<=>) $2::text::public.halfvec AS distance
                  FROM answers.embedding e {_joined(filters)} WHERE e.collection_id = $1)
              SELECT id, (1 - distance)::float8 AS score FROM near WHERE distance <= 2
              ORDER BY distance, id LIMIT $3"""  # noqa: S608 - ours
    arguments = _arguments(filters) if filters.any else ()
    return await tx.rows(Hit, sql, collection_id, vector(embedding), limit, *arguments)


async def list_near(
    tx: Tx, collection_id: int, embedding: Sequence[float], limit: int, filters: Filters, breadth: int
) -> list[Hit]:
    """Chunks that are near to an embedding, with their cosines, by the index: most of the nearest, and soon.

    `breadth` is how many candidates the graph is searched with (ef_search). Within a transaction. The search goes on
    past what isn't wanted, of other collections or filtered out, until there are enough or it has seen 20,000.
    """
    # Sorting is made to look dear, else the planner compares all when it takes a collection to be small.
    settings = """SELECT set_config('hnsw.ef_search', $1, true), set_config('enable_sort', 'off', true),
                      set_config('hnsw.iterative_scan', 'relaxed_order', true),
                      set_config('enable_seqscan', 'off', true)"""
    await tx.value(settings, str(breadth))
    sql = f"""WITH near AS MATERIALIZED (
                  SELECT e.chunk_id AS id, e.embedding OPERATOR(public.<=>) $2::text::public.halfvec AS distance
                  FROM answers.embedding e {_joined(filters)} WHERE e.collection_id = $1
                  ORDER BY e.embedding OPERATOR(public.<=>) $2::text::public.halfvec LIMIT $3)
              SELECT id, (1 - distance)::float8 AS score FROM near ORDER BY distance, id"""  # noqa: S608 - ours
    arguments = _arguments(filters) if filters.any else ()
    return await tx.rows(Hit, sql, collection_id, vector(embedding), limit, *arguments)
