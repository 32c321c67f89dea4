"""Sending: messages get their numbers and go into inboxes, many in one transaction; then words go out.

A conversation's row is the only lock. Whoever holds it gives the next numbers, so they are in the order of commits: a
device that sees a number has everything before it in its inbox.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import msgspec

from tenfold.contracts.messages import frames
from tenfold.platform.db import Tx
from tenfold.platform.errors import TenfoldError
from tenfold.platform.runtime import Runtime
from tenfold.systems.messages.actions.batching import Batcher
from tenfold.systems.messages.actions.waking import wake
from tenfold.systems.messages.errors import (
    ContentTooLarge,
    ConversationNotFound,
    ForeignDevice,
    IdTaken,
    TooManyEnvelopes,
)
from tenfold.systems.messages.hot import Routes
from tenfold.systems.messages.rules.numbering import name_of, number, recipients
from tenfold.systems.messages.settings import MessagesSettings
from tenfold.systems.messages.store import inbox
from tenfold.systems.messages.types import Delivery, InboxRow, Members, Noted, NoteRow, Place, Sealed, Stored

_encode = msgspec.json.encode
#: Devices of remembered conversations together.
REMEMBERED = 200_000

type Written = tuple[Sealed, Stored, Mapping[int, int]]


class Sending:
    """The sending side of one process."""

    def __init__(self, runtime: Runtime, settings: MessagesSettings, routes: Routes) -> None:
        self._runtime = runtime
        self._settings = settings
        self._routes = routes
        # A conversation goes through the same batcher always, which keeps the order of what one connection sends.
        self._batchers = [Batcher(self._write, most=settings.batch) for _ in range(settings.batches)]
        #: Members of a conversation at a revision never change, so what is remembered is never wrong.
        self._members: OrderedDict[tuple[int, int], Members] = OrderedDict()
        self._remembered = 0

    @property
    def sent(self) -> int:
        return sum(batcher.asked for batcher in self._batchers)

    @property
    def batches(self) -> int:
        return sum(batcher.batches for batcher in self._batchers)

    def send(self, asked: Sealed) -> "asyncio.Future[Stored]":
        """Store a message. Once there is a result it won't be lost. Messages are numbered in the order of these calls.

        Raises, here or later, ConversationNotFound, StaleMembers, ContentMissing, ContentTooLarge, TooManyEnvelopes,
        IdTaken, Unavailable.
        """
        self._check(asked)
        return self._batchers[asked.conversation_id % len(self._batchers)].put(asked)

    async def note(self, asked: Sealed) -> Stored:
        """Store a note for single devices. Raises what `send` does, and ForeignDevice."""
        self._check(asked)
        db, days = self._runtime.db, self._settings.days
        now = time.time_ns() // 1_000_000
        async with db.transaction() as tx:
            members = (await inbox.list_members(tx, [asked.conversation_id])).get(asked.conversation_id)
            if members is None or asked.account_id not in members.account_ids:
                raise ConversationNotFound
            for device_id in asked.envelopes:
                if device_id not in members.devices or device_id == asked.device_id:
                    raise ForeignDevice(device=device_id)
            before = await inbox.add_sent_note(tx, asked, now)
            if before is not None:
                if before.seq:
                    raise IdTaken
                return Stored(0, before.at)
            to = recipients(asked, members)
            rows = [
                (to[device_id], device_id, self._runtime.ids.next()) for device_id in asked.envelopes if device_id in to
            ]
            if rows:
                await inbox.add_notes(tx, asked, rows, now, now + days * 86_400_000)
                await wake(self._settings, tx, {account_id for account_id, _, _ in rows})
        by_account: dict[int, dict[int, tuple[int, bytes]]] = {}
        for account_id, device_id, note_id in rows:
            kind, body = asked.envelopes[device_id]
            frame = note_frame(
                NoteRow(note_id, asked.conversation_id, asked.id, asked.account_id, asked.device_id, now, kind, body)
            )
            by_account.setdefault(account_id, {})[device_id] = note_id, frame
        for account_id, notes in by_account.items():
            await self._routes.send(account_id, Noted(notes))
        return Stored(0, now, new=True)

    def _check(self, asked: Sealed) -> None:
        most = self._settings
        if asked.content is not None and len(asked.content) > most.content_bytes:
            raise ContentTooLarge(size=len(asked.content), most=most.content_bytes)
        if len(asked.envelopes) > most.group_members * most.devices:
            raise TooManyEnvelopes(count=len(asked.envelopes), most=most.group_members * most.devices)
        for _, body in asked.envelopes.values():
            if len(body) > most.envelope_bytes:
                raise ContentTooLarge(size=len(body), most=most.envelope_bytes)

    async def _write(self, asked: Sequence[Sealed]) -> list[Stored | TenfoldError]:
        """A batch in one transaction, and then the words about it."""
        ids = sorted({each.conversation_id for each in asked})
        written: list[Written] = []
        async with self._runtime.db.transaction() as tx:
            places = await inbox.lock_conversations(tx, ids)
            # A statement of its own: it must see what was committed while the one before waited for the locks.
            sent = {name_of(row): row for row in await inbox.list_sent(tx, asked)}
            members = await self._members_of(tx, places)
            now = time.time_ns() // 1_000_000
            outcomes = number(asked, places, members, sent, now)
            for each, outcome in zip(asked, outcomes, strict=True):
                if isinstance(outcome, Stored) and outcome.new:
                    written.append((each, outcome, recipients(each, members[each.conversation_id])))
            if written:
                days = self._settings.days * 86_400_000
                ends_at = [now + min(each.expires * 1000 or days, days) for each, _, _ in written]
                await inbox.add_messages(tx, written, ends_at)
                loud = {account_id for each, _, to in written if not each.quiet for account_id in to.values()}
                await wake(self._settings, tx, loud)
        for sealed, stored, devices in written:
            await self._tell(sealed, stored, devices)
        return outcomes

    async def _members_of(self, tx: Tx, places: Mapping[int, Place]) -> dict[int, Members]:
        keys = {place.id: (place.id, place.revision) for place in places.values()}
        missing = [place_id for place_id, key in keys.items() if key not in self._members]
        if missing:
            for found_id, members in (await inbox.list_members(tx, missing)).items():
                self._members[keys[found_id]] = members
                self._remembered += len(members.devices) + 1
            while self._remembered > REMEMBERED and len(self._members) > len(keys):
                _, dropped = self._members.popitem(last=False)
                self._remembered -= len(dropped.devices) + 1
        return {place_id: self._members[key] for place_id, key in keys.items() if key in self._members}

    async def _tell(self, sealed: Sealed, stored: Stored, devices: Mapping[int, int]) -> None:
        frame = message_frame(
            InboxRow(
                sealed.conversation_id,
                stored.seq,
                sealed.id,
                sealed.account_id,
                sealed.device_id,
                stored.at,
                sealed.expires,
                sealed.content,
                None,
                None,
            )
        )
        by_account: dict[int, dict[int, bytes]] = {}
        for device_id, account_id in devices.items():
            envelopes = by_account.setdefault(account_id, {})
            envelope = sealed.envelopes.get(device_id)
            if envelope is not None:
                envelopes[device_id] = _encode(frames.Envelope(*envelope))  # type: ignore[arg-type]
        for account_id, envelopes in by_account.items():
            word = Delivery(sealed.conversation_id, stored.seq, sealed.device_id, frame, envelopes)
            await self._routes.send(account_id, word)

    async def close(self) -> None:
        for batcher in self._batchers:
            await batcher.close()


def message_frame(row: InboxRow) -> bytes:
    """A message as its device gets it."""
    envelope = msgspec.UNSET if row.body is None else frames.Envelope(row.kind or 0, row.body)  # type: ignore[arg-type]
    return _encode(
        frames.Message(
            conversation=str(row.conversation_id),
            seq=row.seq,
            id=row.id,
            account=str(row.sender_id),
            device=str(row.sender_device_id),
            at=row.at,
            content=msgspec.UNSET if row.content is None else row.content,
            envelope=envelope,
            expires=row.expires,
        )
    )


def note_frame(row: NoteRow) -> bytes:
    """A note as its device gets it."""
    return _encode(
        frames.NoteCame(
            note=str(row.id),
            conversation=str(row.conversation_id),
            id=row.message_id,
            account=str(row.sender_id),
            device=str(row.sender_device_id),
            at=row.at,
            envelope=frames.Envelope(row.kind, row.body),  # type: ignore[arg-type]
        )
    )
