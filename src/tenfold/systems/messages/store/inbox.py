"""Inboxes: numbers for messages, rows for devices, and their end when they are acknowledged.

Statements that take many rows at once name the keys once more (`= ANY($1)`), so that only their partitions are planned.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tenfold.platform.db import Tx
from tenfold.systems.messages.types import (
    Ackable,
    InboxRow,
    Mark,
    Members,
    Moved,
    NoteRow,
    Place,
    Sealed,
    SentRow,
    Stored,
)


async def lock_conversations(tx: Tx, ids: Sequence[int]) -> dict[int, Place]:
    """Hold the numbers of conversations, in the order of their ids, until the transaction ends."""
    sql = """SELECT id, kind, revision, last_seq FROM messages.conversation WHERE id = ANY($1)
             ORDER BY id FOR NO KEY UPDATE"""
    return {place.id: place for place in await tx.rows(Place, sql, ids)}


async def list_sent(tx: Tx, asked: Sequence[Sealed]) -> list[SentRow]:
    """What the ids of these have become before."""
    sql = """SELECT s.conversation_id, s.device_id, s.id, s.seq, s.at
             FROM unnest($1::bigint[], $2::bigint[], $3::text[]) a (conversation_id, device_id, id)
             JOIN messages.sent s USING (conversation_id, device_id, id)
             WHERE s.conversation_id = ANY($1)"""
    names = [each.conversation_id for each in asked], [each.device_id for each in asked], [each.id for each in asked]
    return await tx.rows(SentRow, sql, *names)


async def list_members(tx: Tx, conversation_ids: Sequence[int]) -> dict[int, Members]:
    """Who is in conversations, with their devices."""
    sql = """SELECT m.conversation_id, m.account_id, m.blocks,
                    array_agg(d.device_id) FILTER (WHERE d.device_id IS NOT NULL) AS devices
             FROM messages.member m
             LEFT JOIN messages.member_device d
               ON d.conversation_id = m.conversation_id AND d.account_id = m.account_id AND d.conversation_id = ANY($1)
             WHERE m.conversation_id = ANY($1)
             GROUP BY m.conversation_id, m.account_id"""
    found: dict[int, list[_Member]] = {}
    for row in await tx.rows(_Member, sql, conversation_ids):
        found.setdefault(row.conversation_id, []).append(row)
    return {
        conversation_id: Members(
            account_ids=frozenset(member.account_id for member in members),
            devices={device_id: member.account_id for member in members for device_id in member.devices or ()},
            blocking=frozenset(member.account_id for member in members if member.blocks),
        )
        for conversation_id, members in found.items()
    }


async def add_messages(
    tx: Tx, messages: Sequence[tuple[Sealed, Stored, Mapping[int, int]]], ends_at: Sequence[int]
) -> None:
    """Write messages that have got their numbers: what was sent, the newest numbers, and a row in each inbox.

    With each message come its recipients, account by device; `ends_at` in milliseconds since 1970. One statement, in
    which what is sealed for all travels once.
    """
    sql = """WITH message AS (
                 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
                                      $7::bigint[], $8::bigint[], $9::text[]) WITH ORDINALITY
                 a (conversation_id, device_id, id, seq, account_id, at, ends_at, expires, content, n)
             ), sent AS (
                 INSERT INTO messages.sent (conversation_id, device_id, id, seq, account_id, at)
                 SELECT conversation_id, device_id, id, seq, account_id, at FROM message
             ), numbered AS (
                 UPDATE messages.conversation c SET last_seq = m.seq
                 FROM (SELECT conversation_id, max(seq) AS seq FROM message GROUP BY conversation_id) m
                 WHERE c.id = m.conversation_id AND c.id = ANY($1)
             )
             INSERT INTO messages.inbox (account_id, device_id, conversation_id, seq, id, sender_id, sender_device_id,
                                         at, ends_at, expires, content, kind, body)
             SELECT r.account_id, r.device_id, m.conversation_id, m.seq, m.id, m.account_id, m.device_id,
                    m.at, m.ends_at, m.expires, m.content, r.kind, r.body
             FROM unnest($10::bigint[], $11::bigint[], $12::bigint[], $13::smallint[], $14::text[])
                  r (n, account_id, device_id, kind, body)
             JOIN message m USING (n)"""
    rows = [
        (n, account_id, device_id, *(sealed.envelopes.get(device_id) or (None, None)))
        for n, (sealed, _, devices) in enumerate(messages, 1)
        for device_id, account_id in devices.items()
    ]
    await tx.execute(
        sql,
        [sealed.conversation_id for sealed, _, _ in messages],
        [sealed.device_id for sealed, _, _ in messages],
        [sealed.id for sealed, _, _ in messages],
        [stored.seq for _, stored, _ in messages],
        [sealed.account_id for sealed, _, _ in messages],
        [stored.at for _, stored, _ in messages],
        ends_at,
        [sealed.expires for sealed, _, _ in messages],
        [sealed.content for sealed, _, _ in messages],
        *([row[column] for row in rows] for column in range(5)),
    )


async def add_sent_note(tx: Tx, note: Sealed, at: int) -> SentRow | None:
    """Keep the id of a note; None when it is new. Else what the id has become before."""
    sql = """INSERT INTO messages.sent (conversation_id, device_id, id, seq, account_id, at)
             VALUES ($1, $2, $3, 0, $4, $5) ON CONFLICT DO NOTHING"""
    if await tx.execute(sql, note.conversation_id, note.device_id, note.id, note.account_id, at):
        return None
    return (await list_sent(tx, [note]))[0]


async def add_notes(tx: Tx, note: Sealed, rows: Sequence[tuple[int, int, int]], at: int, ends_at: int) -> None:
    """Put a note into the inboxes of devices: (account, device, id of the row)."""
    sql = """INSERT INTO messages.note (account_id, device_id, id, conversation_id, message_id, sender_id,
                                        sender_device_id, at, ends_at, kind, body)
             SELECT r.account_id, r.device_id, r.id, $6, $7, $8, $9, $10, $11, r.kind, r.body
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::text[])
                  r (account_id, device_id, id, kind, body)"""
    envelopes = [note.envelopes[device_id] for _, device_id, _ in rows]
    await tx.execute(
        sql,
        *([row[column] for row in rows] for column in range(3)),
        *([envelope[column] for envelope in envelopes] for column in range(2)),
        note.conversation_id,
        note.id,
        note.account_id,
        note.device_id,
        at,
        ends_at,
    )


async def list_inbox(
    tx: Tx, account_id: int, device_id: int, after: tuple[int, int], now: int, limit: int
) -> list[InboxRow]:
    """What waits for a device after a place (conversation, number), in that order."""
    sql = """SELECT conversation_id, seq, id, sender_id, sender_device_id, at, expires, content, kind, body
             FROM messages.inbox
             WHERE account_id = $1 AND device_id = $2 AND (conversation_id, seq) > ($3, $4) AND ends_at > $5
             ORDER BY conversation_id, seq LIMIT $6"""
    return await tx.rows(InboxRow, sql, account_id, device_id, *after, now, limit)


async def list_notes(tx: Tx, account_id: int, device_id: int, after: int, now: int, limit: int) -> list[NoteRow]:
    """Notes that wait for a device, after one."""
    sql = """SELECT id, conversation_id, message_id, sender_id, sender_device_id, at, kind, body
             FROM messages.note
             WHERE account_id = $1 AND device_id = $2 AND id > $3 AND ends_at > $4
             ORDER BY id LIMIT $5"""
    return await tx.rows(NoteRow, sql, account_id, device_id, after, now, limit)


async def lock_marks(tx: Tx, places: Sequence[tuple[int, int]]) -> list[Mark]:
    """How far members (conversation, account) have got, held until the transaction ends, in one order for everybody."""
    sql = """SELECT m.conversation_id, m.account_id, m.delivered
             FROM unnest($1::bigint[], $2::bigint[]) a (conversation_id, account_id)
             JOIN messages.member m USING (conversation_id, account_id)
             WHERE m.conversation_id = ANY($1)
             ORDER BY m.conversation_id, m.account_id FOR NO KEY UPDATE OF m"""
    return await tx.rows(Mark, sql, [each for each, _ in places], [each for _, each in places])


async def delete_acknowledged(tx: Tx, acks: Sequence[Ackable]) -> None:
    """Forget what devices have stored: messages up to a number, and notes."""
    messages = [ack for ack in acks if ack.conversation_id]
    notes = [ack for ack in acks if not ack.conversation_id]
    if messages:
        sql = """DELETE FROM messages.inbox i
                 USING unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                       a (account_id, device_id, conversation_id, seq)
                 WHERE i.account_id = a.account_id AND i.device_id = a.device_id
                   AND i.conversation_id = a.conversation_id AND i.seq <= a.seq AND i.account_id = ANY($1)"""
        places = [ack.conversation_id for ack in messages]
        await tx.execute(sql, *_devices(messages), places, [ack.seq for ack in messages])
    if notes:
        sql = """DELETE FROM messages.note n
                 USING unnest($1::bigint[], $2::bigint[], $3::bigint[]) a (account_id, device_id, id)
                 WHERE n.account_id = a.account_id AND n.device_id = a.device_id AND n.id = a.id
                   AND n.account_id = ANY($1)"""
        await tx.execute(sql, *_devices(notes), [ack.seq for ack in notes])


def _devices(acks: Sequence[Ackable]) -> tuple[list[int], list[int]]:
    return [ack.account_id for ack in acks], [ack.device_id for ack in acks]


async def move_delivered(tx: Tx, marks: Sequence[tuple[Mark, int]]) -> list[Moved]:
    """Members have got further, to these numbers. Whose messages lay between."""
    sql = """WITH moved AS (
                 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                 a (conversation_id, account_id, before, now)
             ), marked AS (
                 UPDATE messages.member m SET delivered = a.now FROM moved a
                 WHERE m.conversation_id = a.conversation_id AND m.account_id = a.account_id
                   AND m.conversation_id = ANY($1)
             )
             SELECT DISTINCT a.conversation_id, a.account_id, s.account_id AS sender_id
             FROM moved a JOIN messages.sent s
               ON s.conversation_id = a.conversation_id AND s.seq > a.before AND s.seq <= a.now
             WHERE s.account_id <> a.account_id AND s.conversation_id = ANY($1)"""
    return await tx.rows(
        Moved,
        sql,
        [mark.conversation_id for mark, _ in marks],
        [mark.account_id for mark, _ in marks],
        [mark.delivered for mark, _ in marks],
        [seq for _, seq in marks],
    )


async def lock_read(tx: Tx, conversation_id: int, account_id: int) -> int | None:
    """Up to where a member has read, held until the transaction ends; None who isn't one."""
    sql = """SELECT read FROM messages.member WHERE conversation_id = $1 AND account_id = $2 FOR NO KEY UPDATE"""
    found: int | None = await tx.value(sql, conversation_id, account_id)
    return found


async def find_last(tx: Tx, conversation_id: int) -> int:
    """The newest number of a conversation."""
    return int(await tx.value("SELECT last_seq FROM messages.conversation WHERE id = $1", conversation_id) or 0)


async def move_read(tx: Tx, conversation_id: int, account_id: int, before: int, now: int) -> list[int]:
    """A member has read further. Whose messages lay between."""
    sql = """WITH marked AS (
                 UPDATE messages.member SET read = $4, delivered = greatest(delivered, $4)
                 WHERE conversation_id = $1 AND account_id = $2
             )
             SELECT array_agg(DISTINCT account_id) FROM messages.sent
             WHERE conversation_id = $1 AND seq > $3 AND seq <= $4 AND account_id <> $2"""
    return list(await tx.value(sql, conversation_id, account_id, before, now) or ())


async def list_silent(tx: Tx, account_ids: Sequence[int]) -> set[int]:
    """Those of the accounts who don't tell what they read."""
    sql = "SELECT array_agg(account_id) FROM messages.person WHERE account_id = ANY($1) AND NOT read_receipts"
    return set(await tx.value(sql, account_ids) or ())


async def list_standing(tx: Tx, devices: Sequence[tuple[int, int]], before: int) -> list["Standing"]:
    """Those of the devices (account, device) that are there, and whether something older than `before` waits for each.

    `before` in milliseconds since 1970.
    """
    sql = """SELECT d.id,
                    EXISTS (SELECT FROM messages.inbox i
                            WHERE i.account_id = d.account_id AND i.device_id = d.id AND i.at < $3)
                    OR EXISTS (SELECT FROM messages.note n
                               WHERE n.account_id = d.account_id AND n.device_id = d.id AND n.at < $3) AS waits
             FROM unnest($1::bigint[], $2::bigint[]) a (account_id, id)
             JOIN messages.device d USING (account_id, id)"""
    return await tx.rows(Standing, sql, [each for each, _ in devices], [each for _, each in devices], before)


class Standing(NamedTuple):
    """A device that is there, and whether something waits for it."""

    id: int
    waits: bool


class _Member(NamedTuple):
    conversation_id: int
    account_id: int
    blocks: bool
    devices: list[int] | None
