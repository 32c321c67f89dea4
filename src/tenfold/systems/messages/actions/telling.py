"""Words to the members of a conversation after something about it has changed."""

from collections.abc import Collection
from datetime import datetime

from tenfold.contracts.messages.frames import Changed
from tenfold.platform.db import Tx
from tenfold.systems.messages.actions.context import Messages


def milliseconds(at: datetime) -> int:
    """As the protocol tells times: since 1970."""
    return int(at.timestamp() * 1000)


def tell_conversation(messages: Messages, tx: Tx, conversation_id: int, account_ids: Collection[int]) -> None:
    """After the commit, have these people's programs read a conversation anew."""

    async def tell() -> None:
        await messages.routes.tell(account_ids, Changed(what="conversation", conversation=str(conversation_id)))

    tx.after_commit(tell)


def tell_self(messages: Messages, tx: Tx, account_id: int) -> None:
    """After the commit, have somebody's programs read anew what concerns themselves."""

    async def tell() -> None:
        await messages.routes.tell([account_id], Changed(what="self"))

    tx.after_commit(tell)
