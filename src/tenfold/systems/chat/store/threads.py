"""SQL of conversations and their messages. Every statement carries the account, whose they are."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.chat.types import Message, Thread

_THREAD = "id::text, title, model, created_at, updated_at, head_id::text"
_MESSAGE = """id::text, thread_id::text, parent_id::text, role, text, status, model, tokens_in, tokens_out, error,
              flagged, created_at"""


class Asked(msgspec.Struct, frozen=True):
    """A question and its answer, by the key that a client gave them."""

    question_id: int
    answer_id: int


async def insert_thread(tx: Tx, account_id: int, id: int, title: str, model: str, *, named: bool) -> Thread:
    sql = f"""INSERT INTO chat.thread (account_id, id, title, model, named) VALUES ($1, $2, $3, $4, $5)
              RETURNING {_THREAD}"""  # noqa: S608
    return await tx.one(Thread, sql, account_id, id, title, model, named)


async def find_thread(tx: Tx, account_id: int, id: int) -> Thread | None:
    return await tx.find(Thread, f"SELECT {_THREAD} FROM chat.thread WHERE account_id = $1 AND id = $2", account_id, id)  # noqa: S608


async def estimate_threads(tx: Tx) -> int:
    """How many conversations there are, as far as the last autovacuum knows: exact counting would read them all."""
    sql = """SELECT CASE WHEN reltuples < 10000 THEN -1 ELSE reltuples END
             FROM pg_class WHERE oid = 'chat.thread'::regclass"""
    estimate = int(await tx.value(sql))
    return estimate if estimate >= 0 else int(await tx.value("SELECT count(*) FROM chat.thread"))


async def list_threads(
    tx: Tx, account_id: int, query: str, before: tuple[datetime, int] | None, limit: int
) -> list[Thread]:
    """The newest first. `query` is what to_tsquery reads, which the title or a message must match; empty: all."""
    updated_at, last_id = before or (None, None)
    found = """AND id IN (
                   SELECT id FROM chat.thread, to_tsquery('simple', $5) AS wanted
                   WHERE account_id = $1 AND to_tsvector('simple', title) @@ wanted
                   UNION
                   SELECT thread_id FROM chat.message, to_tsquery('simple', $5) AS wanted
                   WHERE account_id = $1 AND words @@ wanted)"""
    sql = f"""SELECT {_THREAD} FROM chat.thread t
              WHERE account_id = $1 AND ($2::timestamptz IS NULL OR (updated_at, id) < ($2, $3))
                {found if query else ""}
              ORDER BY updated_at DESC, t.id DESC LIMIT $4"""  # noqa: S608
    return await tx.rows(Thread, sql, account_id, updated_at, last_id, limit, *([query] if query else []))


async def change_thread(
    tx: Tx, account_id: int, id: int, title: str | None, model: str | None, head_id: int | None
) -> Thread | None:
    sql = f"""UPDATE chat.thread SET title = coalesce($3, title), named = named OR $3 IS NOT NULL,
                  model = coalesce($4, model), head_id = coalesce($5, head_id)
              WHERE account_id = $1 AND id = $2 RETURNING {_THREAD}"""  # noqa: S608
    return await tx.find(Thread, sql, account_id, id, title, model, head_id)


async def is_named(tx: Tx, account_id: int, id: int) -> bool:
    """Whether somebody has named it, or it is gone."""
    found: bool = await tx.value(
        "SELECT NOT EXISTS (SELECT FROM chat.thread WHERE account_id = $1 AND id = $2 AND NOT named)", account_id, id
    )
    return found


async def name_thread(tx: Tx, account_id: int, id: int, title: str) -> None:
    """Give a title that nobody has given."""
    sql = "UPDATE chat.thread SET title = $3 WHERE account_id = $1 AND id = $2 AND NOT named"
    await tx.execute(sql, account_id, id, title)


async def touch_thread(tx: Tx, account_id: int, id: int, head_id: int) -> None:
    sql = "UPDATE chat.thread SET updated_at = now(), head_id = $3 WHERE account_id = $1 AND id = $2"
    await tx.execute(sql, account_id, id, head_id)


async def delete_thread(tx: Tx, account_id: int, id: int) -> bool:
    return await tx.execute("DELETE FROM chat.thread WHERE account_id = $1 AND id = $2", account_id, id) == 1


async def insert_message(tx: Tx, account_id: int, message: Message, file_ids: Sequence[int] = ()) -> Message:
    sql = f"""INSERT INTO chat.message (account_id, id, thread_id, parent_id, role, text, status, model, flagged,
                                            beat_at, file_ids, depth)
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now(), $10, coalesce((
                  SELECT depth + 1 FROM chat.message WHERE account_id = $1 AND id = $4), 0)) RETURNING {_MESSAGE}"""  # noqa: S608
    parent_id = None if message.parent_id is None else int(message.parent_id)
    return await tx.one(
        Message, sql, account_id, int(message.id), int(message.thread_id), parent_id, message.role, message.text,
        message.status, message.model, message.flagged, list(file_ids),
    )  # fmt: skip


async def find_message(tx: Tx, account_id: int, id: int) -> Message | None:
    sql = f"SELECT {_MESSAGE} FROM chat.message WHERE account_id = $1 AND id = $2"  # noqa: S608
    return await tx.find(Message, sql, account_id, id)


async def find_asked(tx: Tx, account_id: int, thread_id: int, key: str) -> Asked | None:
    """What a client has asked with a key, if it has."""
    sql = """SELECT question_id, answer_id FROM chat.idempotency
             WHERE account_id = $1 AND thread_id = $2 AND key = $3"""
    return await tx.find(Asked, sql, account_id, thread_id, key)


async def insert_asked(tx: Tx, account_id: int, thread_id: int, key: str, asked: Asked) -> None:
    """Note the key that a client gave to a question."""
    sql = """INSERT INTO chat.idempotency (account_id, thread_id, key, question_id, answer_id)
             VALUES ($1, $2, $3, $4, $5)"""
    await tx.execute(sql, account_id, thread_id, key, asked.question_id, asked.answer_id)


async def delete_old_asked(tx: Tx) -> int:
    """Forget keys that no client will send again. How many."""
    return await tx.execute("DELETE FROM chat.idempotency WHERE created_at < now() - interval '1 day'")


async def list_messages(tx: Tx, account_id: int, thread_id: int, limit: int) -> list[Message]:
    """The newest so many, oldest first."""
    sql = f"""SELECT * FROM (
                  SELECT {_MESSAGE} FROM chat.message
                  WHERE account_id = $1 AND thread_id = $2 ORDER BY chat.message.id DESC LIMIT $3) newest
              ORDER BY id::bigint"""  # noqa: S608
    return await tx.rows(Message, sql, account_id, thread_id, limit)


async def count_messages(tx: Tx, account_id: int, thread_id: int) -> int:
    sql = "SELECT count(*) FROM chat.message WHERE account_id = $1 AND thread_id = $2"
    found: int = await tx.value(sql, account_id, thread_id)
    return found


async def count_open(tx: Tx, account_id: int) -> int:
    """Answers of an account that are being written."""
    sql = """SELECT count(*) FROM chat.message
             WHERE account_id = $1 AND status IN ('queued', 'streaming') AND beat_at > now() - interval '1 minute'"""
    found: int = await tx.value(sql, account_id)
    return found


async def save_progress(tx: Tx, account_id: int, id: int, text: str, status: str, model: str | None) -> None:
    """Keep what an answer says so far, and that its process is alive."""
    sql = """UPDATE chat.message SET text = $3, status = $4, model = coalesce($5, model), beat_at = now()
             WHERE account_id = $1 AND id = $2 AND status IN ('queued', 'streaming')"""
    await tx.execute(sql, account_id, id, text, status, model)


async def end_message(tx: Tx, account_id: int, message: Message, interrupted: str) -> Message | None:
    """Keep an answer as it ends; None when it is gone or has ended already.

    One that was taken for dead, which failed with the error `interrupted`, has not.
    """
    sql = f"""UPDATE chat.message SET text = $3, status = $4, model = $5, tokens_in = $6, tokens_out = $7,
                  error = $8, flagged = $9, beat_at = NULL
              WHERE account_id = $1 AND id = $2
                AND (status IN ('queued', 'streaming') OR status = 'failed' AND error = $10) RETURNING {_MESSAGE}"""  # noqa: S608
    return await tx.find(
        Message, sql, account_id, int(message.id), message.text, message.status, message.model, message.tokens_in,
        message.tokens_out, message.error, message.flagged, interrupted,
    )  # fmt: skip


async def stop_silent(tx: Tx, account_id: int, id: int, seconds: float) -> None:
    """Stop an answer whose process hasn't said anything for so long."""
    sql = """UPDATE chat.message SET status = 'stopped', beat_at = NULL
             WHERE account_id = $1 AND id = $2 AND status IN ('queued', 'streaming')
               AND beat_at < now() - make_interval(secs => $3)"""
    await tx.execute(sql, account_id, id, seconds)


async def list_open(tx: Tx, account_id: int, thread_id: int) -> list[int]:
    """Answers of a conversation that are being written."""
    sql = """SELECT coalesce(array_agg(id), '{}') FROM chat.message
             WHERE account_id = $1 AND thread_id = $2 AND status IN ('queued', 'streaming')"""
    found: list[int] = await tx.value(sql, account_id, thread_id)
    return found


async def lock_account(tx: Tx, account_id: int) -> None:
    """Let nobody else ask for an account until this transaction ends, so that what is counted stays true."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('chat.account', $1))", account_id)


async def fail_silent(tx: Tx, seconds: float, error: str) -> int:
    """End answers whose process hasn't said anything for so long. How many."""
    sql = """UPDATE chat.message SET status = 'failed', error = $2, beat_at = NULL
             WHERE status IN ('queued', 'streaming') AND beat_at < now() - make_interval(secs => $1)"""
    return await tx.execute(sql, seconds, error)
