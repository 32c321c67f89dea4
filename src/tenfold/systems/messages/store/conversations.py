"""Conversations and who is in them. Every change locks the conversation's row first, and gives it a new revision."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from tenfold.platform.db import Tx
from tenfold.systems.messages.rules.groups import Standing


class ConversationRow(NamedTuple):
    id: int
    kind: str
    revision: int
    last_seq: int
    created_at: datetime
    invite: str | None
    invite_by: int | None
    invite_ends_at: datetime | None


class MemberRow(NamedTuple):
    conversation_id: int
    account_id: int
    role: str
    delivered: int
    read: int


class _Id(NamedTuple):
    id: int


_CONVERSATION = "id, kind, revision, last_seq, created_at, invite, invite_by, invite_ends_at"


async def insert_conversation(tx: Tx, id: int, kind: str) -> ConversationRow:
    sql = f"INSERT INTO messages.conversation (id, kind) VALUES ($1, $2) RETURNING {_CONVERSATION}"  # noqa: S608
    return await tx.one(ConversationRow, sql, id, kind)


async def lock_conversation(tx: Tx, id: int) -> ConversationRow | None:
    """Hold a conversation until the transaction ends: no message gets a number, nobody comes or goes."""
    sql = f"SELECT {_CONVERSATION} FROM messages.conversation WHERE id = $1 FOR NO KEY UPDATE"  # noqa: S608
    return await tx.find(ConversationRow, sql, id)


async def lock_conversations(tx: Tx, ids: Sequence[int]) -> None:
    """Hold many, in the order in which everybody does."""
    sql = "SELECT id FROM messages.conversation WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
    await tx.execute(sql, ids)


async def raise_revisions(tx: Tx, ids: Sequence[int]) -> None:
    """Members or their devices have changed: who is sealing for those before will be told so."""
    await tx.execute("UPDATE messages.conversation SET revision = revision + 1 WHERE id = ANY($1)", ids)


async def list_conversations(tx: Tx, ids: Sequence[int]) -> list[ConversationRow]:
    sql = f"SELECT {_CONVERSATION} FROM messages.conversation WHERE id = ANY($1) ORDER BY id"  # noqa: S608
    return await tx.rows(ConversationRow, sql, ids)


async def find_conversation(tx: Tx, id: int) -> ConversationRow | None:
    sql = f"SELECT {_CONVERSATION} FROM messages.conversation WHERE id = $1"  # noqa: S608
    return await tx.find(ConversationRow, sql, id)


async def delete_conversation(tx: Tx, id: int) -> None:
    """What is left when nobody is in it."""
    await tx.execute("DELETE FROM messages.sent WHERE conversation_id = $1", id)
    await tx.execute("DELETE FROM messages.conversation WHERE id = $1", id)


# Members.


async def add_members(tx: Tx, conversation: ConversationRow, account_ids: Sequence[int], role: str) -> list[int]:
    """New members, to whom all that was said before counts as received, with their devices. Those who are new.

    The people are locked, and then the conversation.
    """
    sql = """INSERT INTO messages.member (conversation_id, account_id, role, delivered, read)
             SELECT $1, id, $3, $4, $4 FROM unnest($2::bigint[]) AS id ORDER BY id
             ON CONFLICT DO NOTHING RETURNING account_id AS id"""
    rows = await tx.rows(_Id, sql, conversation.id, account_ids, role, conversation.last_seq)
    new = [row.id for row in rows]
    sql = """INSERT INTO messages.membership (account_id, conversation_id) SELECT id, $1 FROM unnest($2::bigint[]) AS id
             ON CONFLICT DO NOTHING"""
    await tx.execute(sql, conversation.id, new)
    sql = """INSERT INTO messages.member_device (conversation_id, account_id, device_id)
             SELECT $1, account_id, id FROM messages.device WHERE account_id = ANY($2) ON CONFLICT DO NOTHING"""
    await tx.execute(sql, conversation.id, new)
    return new


async def set_peers(tx: Tx, conversation_id: int, one_id: int, other_id: int) -> None:
    """A conversation is that of these two, of which there is one."""
    sql = """UPDATE messages.membership SET peer_id = CASE account_id WHEN $2 THEN $3 ELSE $2 END
             WHERE account_id = ANY(ARRAY[$2::bigint, $3::bigint]) AND conversation_id = $1"""
    await tx.execute(sql, conversation_id, one_id, other_id)


async def set_blocks(tx: Tx, conversation_id: int, account_id: int, *, blocks: bool) -> None:
    sql = "UPDATE messages.member SET blocks = $3 WHERE conversation_id = $1 AND account_id = $2"
    await tx.execute(sql, conversation_id, account_id, blocks)


async def set_role(tx: Tx, conversation_id: int, account_id: int, role: str) -> None:
    sql = "UPDATE messages.member SET role = $3 WHERE conversation_id = $1 AND account_id = $2"
    await tx.execute(sql, conversation_id, account_id, role)


async def delete_member(tx: Tx, conversation_id: int, account_id: int) -> None:
    for table in ("member_device", "member", "membership"):
        sql = f"DELETE FROM messages.{table} WHERE conversation_id = $1 AND account_id = $2"  # noqa: S608
        await tx.execute(sql, conversation_id, account_id)


async def is_member(tx: Tx, conversation_id: int, account_id: int) -> bool:
    sql = "SELECT EXISTS (SELECT FROM messages.member WHERE conversation_id = $1 AND account_id = $2)"
    return bool(await tx.value(sql, conversation_id, account_id))


async def list_members(tx: Tx, conversation_ids: Sequence[int]) -> list[MemberRow]:
    """Who is in conversations, those first who have been there longest."""
    sql = """SELECT conversation_id, account_id, role, delivered, read FROM messages.member
             WHERE conversation_id = ANY($1) ORDER BY conversation_id, joined_at, account_id"""
    return await tx.rows(MemberRow, sql, conversation_ids)


async def list_standings(tx: Tx, conversation_id: int) -> dict[int, Standing]:
    """Members as rules see them, by account."""
    sql = "SELECT account_id, role, joined_at FROM messages.member WHERE conversation_id = $1"
    return {row.account_id: row for row in await tx.rows(Standing, sql, conversation_id)}


async def count_members(tx: Tx, conversation_id: int) -> int:
    return int(await tx.value("SELECT count(*) FROM messages.member WHERE conversation_id = $1", conversation_id))


async def add_member_device(tx: Tx, conversation_ids: Sequence[int], account_id: int, device_id: int) -> None:
    """A new device of a member, in those of the conversations that they are still in."""
    sql = """INSERT INTO messages.member_device (conversation_id, account_id, device_id)
             SELECT conversation_id, $2, $3 FROM messages.member
             WHERE conversation_id = ANY($1) AND account_id = $2 ON CONFLICT DO NOTHING"""
    await tx.execute(sql, conversation_ids, account_id, device_id)


async def delete_member_device(tx: Tx, conversation_ids: Sequence[int], account_id: int, device_id: int) -> None:
    sql = """DELETE FROM messages.member_device
             WHERE conversation_id = ANY($1) AND account_id = $2 AND device_id = $3"""
    await tx.execute(sql, conversation_ids, account_id, device_id)


# By account.


async def find_direct(tx: Tx, account_id: int, peer_id: int) -> int | None:
    """The conversation of two people."""
    sql = "SELECT conversation_id FROM messages.membership WHERE account_id = $1 AND peer_id = $2"
    found: int | None = await tx.value(sql, account_id, peer_id)
    return found


async def list_memberships(tx: Tx, account_id: int, after: int = 0, limit: int | None = None) -> list[int]:
    """An account's conversations in the order of their ids, after one."""
    sql = """SELECT conversation_id AS id FROM messages.membership
             WHERE account_id = $1 AND conversation_id > $2 ORDER BY conversation_id LIMIT $3"""
    return [row.id for row in await tx.rows(_Id, sql, account_id, after, limit)]


async def most_memberships(tx: Tx, account_ids: Sequence[int]) -> int:
    """In how many conversations that one of the accounts is which is in most."""
    sql = """SELECT max(n) FROM (SELECT count(*) AS n FROM messages.membership
                                 WHERE account_id = ANY($1) GROUP BY account_id) counted"""
    return int(await tx.value(sql, account_ids) or 0)


async def find_begun(tx: Tx, account_id: int, key: str) -> int | None:
    """The group that somebody began with a key."""
    sql = "SELECT conversation_id FROM messages.begun WHERE account_id = $1 AND key = $2"
    found: int | None = await tx.value(sql, account_id, key)
    return found


async def insert_begun(tx: Tx, account_id: int, key: str, conversation_id: int) -> None:
    sql = "INSERT INTO messages.begun (account_id, key, conversation_id) VALUES ($1, $2, $3)"
    await tx.execute(sql, account_id, key, conversation_id)


# Invites.


async def set_invite(tx: Tx, id: int, digest: str | None, by_id: int | None, days: int) -> datetime | None:
    """Let people in by a code, in place of that before; None: by none. When it ends."""
    sql = """UPDATE messages.conversation SET invite = $2::text, invite_by = $3,
                    invite_ends_at = CASE WHEN $2::text IS NOT NULL THEN now() + make_interval(days => $4) END
             WHERE id = $1 RETURNING invite_ends_at"""
    ends_at: datetime | None = await tx.value(sql, id, digest, by_id, days)
    return ends_at


async def delete_ended_invites(tx: Tx, limit: int) -> int:
    sql = """UPDATE messages.conversation SET invite = NULL, invite_by = NULL, invite_ends_at = NULL WHERE id IN (
                 SELECT id FROM messages.conversation WHERE invite IS NOT NULL AND invite_ends_at < now()
                 ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)"""
    return await tx.execute(sql, limit)


# By the clock.


async def delete_old_begun(tx: Tx, days: int, limit: int) -> int:
    """Keys of groups that were begun so long ago. How many."""
    sql = """DELETE FROM messages.begun WHERE (account_id, key) IN (
                 SELECT account_id, key FROM messages.begun
                 WHERE created_at < now() - make_interval(days => $1) LIMIT $2)"""
    return await tx.execute(sql, days, limit)


async def delete_old_sent(tx: Tx, before: int, limit: int) -> int:
    """What was sent before a time (milliseconds since 1970) is no longer known by its id. How many."""
    sql = """DELETE FROM messages.sent WHERE (conversation_id, device_id, id) IN (
                 SELECT conversation_id, device_id, id FROM messages.sent WHERE at < $1 ORDER BY at LIMIT $2)"""
    return await tx.execute(sql, before, limit)


async def delete_ended_inbox(tx: Tx, now: int, limit: int) -> int:
    """Messages that have waited long enough (`now` in milliseconds since 1970). How many."""
    sql = """DELETE FROM messages.inbox WHERE (account_id, device_id, conversation_id, seq) IN (
                 SELECT account_id, device_id, conversation_id, seq FROM messages.inbox
                 WHERE ends_at < $1 ORDER BY ends_at LIMIT $2 FOR UPDATE SKIP LOCKED)"""
    return await tx.execute(sql, now, limit)


async def delete_ended_notes(tx: Tx, now: int, limit: int) -> int:
    """Notes that have waited long enough. How many."""
    sql = """DELETE FROM messages.note WHERE (account_id, device_id, id) IN (
                 SELECT account_id, device_id, id FROM messages.note
                 WHERE ends_at < $1 ORDER BY ends_at LIMIT $2 FOR UPDATE SKIP LOCKED)"""
    return await tx.execute(sql, now, limit)


async def estimate_conversations(tx: Tx) -> int:
    """How many conversations there are, as far as the last autovacuum knows: exact counting would read them all."""
    sql = """SELECT CASE WHEN reltuples < 10000 THEN -1 ELSE reltuples END
             FROM pg_class WHERE oid = 'messages.conversation'::regclass"""
    estimate = int(await tx.value(sql))
    return estimate if estimate >= 0 else int(await tx.value("SELECT count(*) FROM messages.conversation"))
