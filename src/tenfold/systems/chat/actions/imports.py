"""Conversations that were had elsewhere, kept as they were: nobody is asked."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.store import threads as store
from tenfold.systems.chat.types import Message, Thread


class Had(msgspec.Struct, frozen=True):
    """A question, and the answers that were given to it; the last one goes on."""

    question: str
    answers: Sequence[str]


async def keep_conversation(chat: Chat, account_id: int, title: str, turns: Sequence[Had]) -> Thread:
    """Keep a conversation, with all answers to its questions."""
    ids = chat.runtime.ids
    async with chat.runtime.db.transaction() as tx:
        thread = await store.insert_thread(tx, account_id, ids.next(), title, "auto", named=True)
        parent_id: str | None = None

        async def say(role: Literal["user", "assistant"], text: str) -> str:
            message = Message(
                id=str(ids.next()),
                thread_id=thread.id,
                parent_id=parent_id,
                role=role,
                text=text,
                status="complete",
                model="fast" if role == "assistant" else None,
                created_at=datetime.now(UTC),
            )
            return (await store.insert_message(tx, account_id, message)).id

        for turn in turns:
            parent_id = await say("user", turn.question)
            said = [await say("assistant", answer) for answer in turn.answers]
            parent_id = said[-1]
        if parent_id is not None:
            await store.touch_thread(tx, account_id, int(thread.id), int(parent_id))
    return thread
