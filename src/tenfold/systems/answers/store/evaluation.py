"""SQL of evaluations: the collections that they make for themselves, and what they have found."""

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.answers.types.evaluation import Evaluation

#: Whose collections of evaluations are: nobody's, so that nobody finds them among their own.
NOBODY = 0


class _Kept(msgspec.Struct, frozen=True):
    report: dict[str, object]


async def find_collection(tx: Tx, name: str) -> int | None:
    """The collection of nobody that has this name."""
    sql = "SELECT id FROM answers.collection WHERE account_id = $1 AND name = $2 ORDER BY id LIMIT 1"
    found: int | None = await tx.value(sql, NOBODY, name)
    return found


async def list_document_ids(tx: Tx, collection_id: int) -> set[int]:
    sql = "SELECT coalesce(array_agg(id), '{}') FROM answers.document WHERE collection_id = $1"
    return set(await tx.value(sql, collection_id))


async def insert_evaluation(tx: Tx, evaluation: Evaluation) -> None:
    sql = "INSERT INTO answers.evaluation (id, name, report, created_at) VALUES ($1, $2, $3::jsonb, $4)"
    report = msgspec.to_builtins(evaluation)
    await tx.execute(sql, int(evaluation.id), evaluation.name, report, evaluation.created_at)


async def list_evaluations(tx: Tx, before: int, limit: int) -> list[Evaluation]:
    """The newest, from before this id on."""
    sql = "SELECT report FROM answers.evaluation WHERE id < $1 ORDER BY id DESC LIMIT $2"
    return [msgspec.convert(each.report, Evaluation) for each in await tx.rows(_Kept, sql, before, limit)]
