"""SQL of what is remembered of conversations: their paths, summaries of them, and what each message is about."""

from collections.abc import Sequence

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.chat.types import Said


class Summary(msgspec.Struct, frozen=True):
    text: str
    #: Messages that it tells of: those from the beginning of its path.
    covers: int


class Near(msgspec.Struct, frozen=True):
    """A message, and how near it is to what was looked for: a cosine."""

    id: int
    role: str
    text: str
    score: float


async def list_path(tx: Tx, account_id: int, id: int, limit: int) -> list[Said]:
    """A message and those before it, up to the beginning or so many, oldest first."""
    sql = """WITH RECURSIVE path AS (
                 SELECT id, parent_id, role, text, flagged, depth, 1 AS place FROM chat.message
                 WHERE account_id = $1 AND id = $2
                 UNION ALL
                 SELECT m.id, m.parent_id, m.role, m.text, m.flagged, m.depth, place + 1 FROM path p
                 JOIN chat.message m ON m.account_id = $1 AND m.id = p.parent_id WHERE place < $3)
             SELECT id, role, text, flagged, depth FROM path ORDER BY place DESC"""
    return await tx.rows(Said, sql, account_id, id, limit)


async def insert_summary(tx: Tx, account_id: int, thread_id: int, message_id: int, summary: Summary) -> None:
    """Keep a summary of what was said up to a message, unless there is one, or the conversation is gone."""
    sql = """INSERT INTO chat.summary (account_id, thread_id, message_id, covers, text)
             SELECT account_id, id, $3, $4, $5 FROM chat.thread WHERE account_id = $1 AND id = $2 FOR KEY SHARE
             ON CONFLICT (account_id, thread_id, message_id) DO NOTHING"""
    await tx.execute(sql, account_id, thread_id, message_id, summary.covers, summary.text)


async def find_summary(tx: Tx, account_id: int, thread_id: int, message_ids: Sequence[int]) -> Summary | None:
    """The summary that tells most, of those up to one of these messages."""
    sql = """SELECT text, covers FROM chat.summary
             WHERE account_id = $1 AND thread_id = $2 AND message_id = ANY($3::bigint[]) ORDER BY covers DESC LIMIT 1"""
    return await tx.find(Summary, sql, account_id, thread_id, list(message_ids))


async def insert_turns(tx: Tx, account_id: int, thread_id: int, turns: Sequence[tuple[int, Sequence[float]]]) -> None:
    """Keep what messages are about. Nothing happens when the conversation is gone."""
    sql = """INSERT INTO chat.turn (account_id, thread_id, message_id, embedding)
             SELECT t.account_id, t.id, n.id, n.vector::public.vector
             FROM unnest($3::bigint[], $4::text[]) AS n (id, vector)
             JOIN chat.thread t ON t.account_id = $1 AND t.id = $2
             ON CONFLICT (account_id, thread_id, message_id) DO NOTHING"""
    ids, vectors = [each for each, _ in turns], [_vector(each) for _, each in turns]
    await tx.execute(sql, account_id, thread_id, ids, vectors)


async def list_near(
    tx: Tx, account_id: int, thread_id: int, message_id: int, vector: Sequence[float], limit: int
) -> list[Near]:
    """Of the messages before one, on its path, those that are nearest to a vector. At most 4,000 characters of each."""
    sql = """WITH RECURSIVE path AS (
                 SELECT id, parent_id, 0 AS place FROM chat.message WHERE account_id = $1 AND id = $3
                 UNION ALL
                 SELECT m.id, m.parent_id, place + 1 FROM path p
                 JOIN chat.message m ON m.account_id = $1 AND m.id = p.parent_id WHERE place < 2000),
             near AS (
                 SELECT t.message_id AS id, (t.embedding OPERATOR(public.<=>) $4::text::public.vector) AS distance
                 FROM path p JOIN chat.turn t ON t.account_id = $1 AND t.thread_id = $2 AND t.message_id = p.id
                 WHERE place > 0 ORDER BY distance LIMIT $5)
             SELECT m.id, m.role, left(m.text, 4000) AS text, (1 - distance)::float8 AS score
             FROM near n JOIN chat.message m ON m.account_id = $1 AND m.id = n.id
             WHERE NOT flagged AND distance <= 1 ORDER BY distance"""  # which also leaves out vectors of nothing
    return await tx.rows(Near, sql, account_id, thread_id, message_id, _vector(vector), limit)


def _vector(numbers: Sequence[float]) -> str:
    return f"[{','.join(map(repr, numbers))}]"
