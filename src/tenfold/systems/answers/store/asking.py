"""SQL of conversations, and of questions with their answers."""

from datetime import datetime

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.answers.types.asking import Conversation


class StoredQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A row of answers.question."""

    id: int
    conversation_id: int
    collection_id: int
    question: str
    answer: bytes | None
    good: bool | None
    created_at: datetime


_CONVERSATION = "id::text, collection_id::text, title, created_at, updated_at"
_QUESTION = "id, conversation_id, collection_id, question, answer, good, created_at"


async def insert_conversation(tx: Tx, account_id: int, id: int, collection_id: int, title: str) -> None:
    sql = "INSERT INTO answers.conversation (account_id, id, collection_id, title) VALUES ($1, $2, $3, $4)"
    await tx.execute(sql, account_id, id, collection_id, title)


async def touch_conversation(tx: Tx, account_id: int, id: int, collection_id: int) -> bool:
    """It goes on now. False when there is none about this collection."""
    sql = "UPDATE answers.conversation SET updated_at = now() WHERE account_id = $1 AND id = $2 AND collection_id = $3"
    return await tx.execute(sql, account_id, id, collection_id) == 1


async def find_conversation(tx: Tx, account_id: int, id: int) -> Conversation | None:
    sql = f"SELECT {_CONVERSATION} FROM answers.conversation WHERE account_id = $1 AND id = $2"  # noqa: S608
    return await tx.find(Conversation, sql, account_id, id)


async def list_conversations(
    tx: Tx, account_id: int, collection_id: int, before: tuple[datetime, int] | None, limit: int
) -> list[Conversation]:
    """Those that were gone on with last first; `before` is the last one of the page before."""
    at, last = before or (None, None)
    sql = f"""SELECT {_CONVERSATION} FROM answers.conversation
              WHERE account_id = $1 AND collection_id = $2 AND ($3::timestamptz IS NULL OR (updated_at, id) < ($3, $4))
              ORDER BY updated_at DESC, id DESC LIMIT $5"""  # noqa: S608
    return await tx.rows(Conversation, sql, account_id, collection_id, at, last, limit)


async def delete_conversation(tx: Tx, account_id: int, id: int) -> bool:
    """Remove a conversation with all that was said. False when there was none."""
    return await tx.execute("DELETE FROM answers.conversation WHERE account_id = $1 AND id = $2", account_id, id) == 1


async def delete_conversations(tx: Tx, account_id: int, collection_id: int) -> None:
    """Remove all conversations about a collection: they quote what is in it."""
    sql = "DELETE FROM answers.conversation WHERE account_id = $1 AND collection_id = $2"
    await tx.execute(sql, account_id, collection_id)


async def insert_question(
    tx: Tx, account_id: int, id: int, conversation_id: int, collection_id: int, question: str
) -> datetime:
    sql = """INSERT INTO answers.question (account_id, id, conversation_id, collection_id, question)
             VALUES ($1, $2, $3, $4, $5) RETURNING created_at"""
    asked_at: datetime = await tx.value(sql, account_id, id, conversation_id, collection_id, question)
    return asked_at


async def save_answer(tx: Tx, account_id: int, id: int, answer: bytes) -> bool:
    """False when the conversation is gone."""
    sql = "UPDATE answers.question SET answer = $3 WHERE account_id = $1 AND id = $2"
    return await tx.execute(sql, account_id, id, answer) == 1


async def find_question(tx: Tx, account_id: int, id: int) -> StoredQuestion | None:
    sql = f"SELECT {_QUESTION} FROM answers.question WHERE account_id = $1 AND id = $2"  # noqa: S608
    return await tx.find(StoredQuestion, sql, account_id, id)


async def list_questions(tx: Tx, account_id: int, conversation_id: int, limit: int) -> list[StoredQuestion]:
    """The last so many questions of a conversation, the oldest first."""
    sql = f"""SELECT * FROM (
                  SELECT {_QUESTION} FROM answers.question WHERE account_id = $1 AND conversation_id = $2
                  ORDER BY id DESC LIMIT $3) last
              ORDER BY id"""  # noqa: S608
    return await tx.rows(StoredQuestion, sql, account_id, conversation_id, limit)


async def save_feedback(tx: Tx, account_id: int, id: int, good: bool, note: str) -> int | None:
    """The collection that the answer is about; None when there is no such answer."""
    sql = """UPDATE answers.question SET good = $3, note = $4 WHERE account_id = $1 AND id = $2
             RETURNING collection_id"""
    found: int | None = await tx.value(sql, account_id, id, good, note)
    return found


async def find_revision(tx: Tx, collection_id: int) -> str:
    """What changes whenever a collection's index does: which segments there are, and how much of them is gone."""
    sql = """SELECT md5((SELECT coalesce(string_agg(id::text, ',' ORDER BY id), '') FROM answers.segment
                         WHERE collection_id = $1)
                 || '/' || (SELECT count(*) FROM answers.dead WHERE collection_id = $1))"""
    found: str = await tx.value(sql, collection_id)
    return found
