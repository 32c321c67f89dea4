"""Acknowledging: what devices have stored leaves their inboxes, and senders see how far their messages have got."""

import asyncio
from collections.abc import Sequence

from tenfold.contracts.messages.frames import Receipt
from tenfold.platform.db import Database
from tenfold.platform.errors import TenfoldError
from tenfold.systems.messages.actions.batching import Batcher
from tenfold.systems.messages.errors import ConversationNotFound, ReadAhead
from tenfold.systems.messages.hot import Routes
from tenfold.systems.messages.settings import MessagesSettings
from tenfold.systems.messages.store import inbox
from tenfold.systems.messages.types import Ackable


class Acknowledging:
    """The receiving side of one process."""

    def __init__(self, db: Database, settings: MessagesSettings, routes: Routes) -> None:
        self._db = db
        self._routes = routes
        self._batcher = Batcher(self._write, most=settings.batch * 4)

    def acknowledge(self, ack: Ackable) -> "asyncio.Future[None]":
        """Forget what a device has stored. It may fail with Unavailable: then it comes again, which is harmless."""
        return self._batcher.put(ack)

    async def _write(self, acks: Sequence[Ackable]) -> list[TenfoldError | None]:
        furthest: dict[tuple[int, int], int] = {}
        for ack in acks:
            if ack.conversation_id:
                place = ack.conversation_id, ack.account_id
                furthest[place] = max(furthest.get(place, 0), ack.seq)
        async with self._db.transaction() as tx:
            marks = await inbox.lock_marks(tx, list(furthest)) if furthest else []
            further = [
                (mark, furthest[mark.conversation_id, mark.account_id])
                for mark in marks
                if furthest[mark.conversation_id, mark.account_id] > mark.delivered
            ]
            await inbox.delete_acknowledged(tx, acks)
            moved = await inbox.move_delivered(tx, further) if further else []
        for each in moved:
            seq = furthest[each.conversation_id, each.account_id]
            receipt = Receipt(conversation=str(each.conversation_id), account=str(each.account_id), delivered=seq)
            await self._routes.tell([each.sender_id], receipt)
        return [None] * len(acks)

    async def read(self, account_id: int, device_id: int, conversation_id: int, seq: int) -> None:
        """Somebody has read everything up to a message: their other devices see it, and whose messages they were.

        Who doesn't tell what they read isn't told either. Raises ConversationNotFound, ReadAhead, Unavailable.
        """
        async with self._db.transaction() as tx:
            before = await inbox.lock_read(tx, conversation_id, account_id)
            if before is None:
                raise ConversationNotFound
            if seq > await inbox.find_last(tx, conversation_id):
                raise ReadAhead
            if seq <= before:
                return
            senders = await inbox.move_read(tx, conversation_id, account_id, before, seq)
            silent = await inbox.list_silent(tx, [account_id, *senders])
        receipt = Receipt(conversation=str(conversation_id), account=str(account_id), read=seq)
        await self._routes.tell([account_id], receipt, but=device_id)
        if account_id not in silent:
            await self._routes.tell([each for each in senders if each not in silent], receipt)

    async def close(self) -> None:
        await self._batcher.close()
