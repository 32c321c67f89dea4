"""SQL of attached files."""

from collections.abc import Sequence

from tenfold.platform.db import Tx
from tenfold.systems.chat.types import StoredFile

_FILE = "f.id::text, f.name, f.type, f.size, f.key, f.text, f.tokens, f.how"


async def insert_file(tx: Tx, account_id: int, file: StoredFile) -> None:
    sql = """INSERT INTO chat.file (account_id, id, name, type, size, key, text, tokens, how)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""
    await tx.execute(
        sql, account_id, int(file.id), file.name, file.type, file.size, file.key, file.text, file.tokens, file.how
    )


async def count_bytes(tx: Tx, account_id: int) -> int:
    """What the files of an account take."""
    found: int = await tx.value(
        "SELECT coalesce(sum(size), 0)::bigint FROM chat.file WHERE account_id = $1", account_id
    )
    return found


async def find_file(tx: Tx, account_id: int, id: int) -> StoredFile | None:
    sql = f"SELECT {_FILE} FROM chat.file f WHERE account_id = $1 AND id = $2"  # noqa: S608
    return await tx.find(StoredFile, sql, account_id, id)


async def attach_files(tx: Tx, account_id: int, ids: Sequence[int], thread_id: int) -> list[StoredFile]:
    """Those of the files that no conversation had yet, or this one has."""
    sql = f"""UPDATE chat.file f SET thread_id = $3
              WHERE account_id = $1 AND id = ANY($2::bigint[]) AND (thread_id IS NULL OR thread_id = $3)
              RETURNING {_FILE}"""  # noqa: S608
    return await tx.rows(StoredFile, sql, account_id, list(ids), thread_id)


async def list_files(tx: Tx, account_id: int, message_ids: Sequence[int]) -> list[StoredFile]:
    """The files of some questions, by question and in the order in which they were sent along."""
    sql = f"""SELECT {_FILE}, m.id::text AS message_id
              FROM chat.message m
              CROSS JOIN unnest(m.file_ids) WITH ORDINALITY AS wanted (id, place)
              JOIN chat.file f ON f.account_id = $1 AND f.id = wanted.id
              WHERE m.account_id = $1 AND m.id = ANY($2::bigint[]) ORDER BY m.id, place"""  # noqa: S608
    return await tx.rows(StoredFile, sql, account_id, list(message_ids))


async def list_shown(tx: Tx, account_id: int, thread_id: int) -> list[StoredFile]:
    """The files of a conversation, by question, without what they say."""
    sql = """SELECT f.id::text, f.name, f.type, f.size, f.key, '' AS text, f.tokens, f.how, m.id::text AS message_id
             FROM chat.message m
             CROSS JOIN unnest(m.file_ids) WITH ORDINALITY AS wanted (id, place)
             JOIN chat.file f ON f.account_id = $1 AND f.id = wanted.id
             WHERE m.account_id = $1 AND m.thread_id = $2 ORDER BY m.id, place"""
    return await tx.rows(StoredFile, sql, account_id, thread_id)


async def list_keys(tx: Tx, account_id: int, thread_id: int) -> list[str]:
    """Objects of a conversation's files."""
    sql = "SELECT coalesce(array_agg(key), '{}') FROM chat.file WHERE account_id = $1 AND thread_id = $2"
    found: list[str] = await tx.value(sql, account_id, thread_id)
    return found


async def list_abandoning(tx: Tx, limit: int) -> list[int]:
    """Accounts that have files which for a day no question has wanted."""
    sql = """SELECT coalesce(array_agg(account_id), '{}') FROM (
                 SELECT DISTINCT account_id FROM chat.file
                 WHERE thread_id IS NULL AND created_at < now() - interval '1 day' LIMIT $1) owners"""
    found: list[int] = await tx.value(sql, limit)
    return found


async def delete_abandoned(tx: Tx, account_id: int) -> list[str]:
    """Forget files of an account that for a day no question has wanted. Where they were."""
    sql = """WITH gone AS (
                 DELETE FROM chat.file
                 WHERE account_id = $1 AND thread_id IS NULL AND created_at < now() - interval '1 day' RETURNING key)
             SELECT coalesce(array_agg(key), '{}') FROM gone"""
    found: list[str] = await tx.value(sql, account_id)
    return found
