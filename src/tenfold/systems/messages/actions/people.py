"""People: found by name, what they have decided about themselves, and whom they have blocked."""

import re
from collections.abc import Sequence

from msgspec import UNSET

from tenfold.contracts.messages.entities import ChangeMine, Mine, Person
from tenfold.platform.db import Tx
from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Principal
from tenfold.platform.identity import store as identity
from tenfold.platform.identity.rules import folded
from tenfold.platform.limits import Limit
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.actions.telling import tell_conversation, tell_self
from tenfold.systems.messages.errors import PersonNotFound, TooManyBlocked
from tenfold.systems.messages.store import conversations as places
from tenfold.systems.messages.store import people as store

#: Looks at people, by name or number.
LOOK = Limit(name="messages.people", rates={"anonymous": "60/minute", "enterprise": "600/minute"})
#: Changes of what concerns oneself: blocks, choices.
CHANGE = Limit(name="messages.mine", rates={"anonymous": "240/hour burst 120", "enterprise": "10000/hour"})
#: People that a search shows.
FOUND = 20
#: What names can begin with; of anything else there is none.
_BEGINNING = re.compile(r"[A-Za-z0-9_]+")


async def search(messages: Messages, name: str, principal: Principal) -> list[Person]:
    """People whose names begin so, in the order of their names. Raises Unauthorized, TooManyRequests."""
    principal.require("messages")
    await messages.runtime.limits.take(LOOK, principal)
    if _BEGINNING.fullmatch(name) is None:
        return []
    async with messages.runtime.db.read() as tx:
        ids = await identity.list_named(tx, folded(name), FOUND)
        found = await list_people(tx, ids)
    return [found[each] for each in ids if each in found]


async def find(messages: Messages, account_id: int, principal: Principal) -> Person:
    """Raises Unauthorized, TooManyRequests, PersonNotFound."""
    principal.require("messages")
    await messages.runtime.limits.take(LOOK, principal)
    async with messages.runtime.db.read() as tx:
        return (await require_people(tx, [account_id]))[account_id]


async def list_people(tx: Tx, account_ids: Sequence[int]) -> dict[int, Person]:
    """Those of them that are there, by number."""
    return {
        each.id: Person(id=str(each.id), name=each.name, display_name=each.display_name)
        for each in await identity.list_accounts(tx, account_ids)
    }


async def require_people(tx: Tx, account_ids: Sequence[int]) -> dict[int, Person]:
    """All of them, by number. Raises PersonNotFound."""
    found = await list_people(tx, account_ids)
    if not found.keys() >= set(account_ids):
        raise PersonNotFound
    return found


async def read_mine(messages: Messages, principal: Principal) -> Mine:
    account_id = principal.require("messages")
    async with messages.runtime.db.read(fresh=True) as tx:
        return await _mine(tx, account_id)


async def change_mine(messages: Messages, data: ChangeMine, principal: Principal) -> Mine:
    account_id = principal.require("messages")
    await messages.runtime.limits.take(CHANGE, principal)
    receipts = None if data.read_receipts is UNSET else data.read_receipts
    last_seen = None if data.last_seen is UNSET else data.last_seen
    async with messages.runtime.db.transaction() as tx:
        await store.update_choices(tx, account_id, receipts, last_seen)
        tell_self(messages, tx, account_id)
        return await _mine(tx, account_id)


async def _mine(tx: Tx, account_id: int) -> Mine:
    choices = await store.find_choices(tx, account_id)
    blocked = await store.list_blocked(tx, account_id)
    found = await require_people(tx, [account_id])
    others = await list_people(tx, blocked)
    return Mine(
        account=found[account_id],
        read_receipts=choices.read_receipts,
        last_seen=choices.last_seen,  # type: ignore[arg-type]
        blocked=[others[each] for each in blocked if each in others],
    )


async def block(messages: Messages, other_id: int, principal: Principal) -> None:
    """What they send from now on is taken and doesn't arrive; they aren't told.

    Raises Invalid for oneself, PersonNotFound, TooManyBlocked, TooManyRequests.
    """
    account_id = principal.require("messages")
    await messages.runtime.limits.take(CHANGE, principal)
    if other_id == account_id:
        raise Invalid(fields={"account": "is yourself"})
    async with messages.runtime.db.transaction() as tx:
        await require_people(tx, [other_id])
        await store.lock_people(tx, [account_id, other_id])
        if await store.insert_block(tx, account_id, other_id):
            if len(await store.list_blocked(tx, account_id)) > messages.settings.blocked:
                raise TooManyBlocked(most=messages.settings.blocked)
            await _set_blocks(messages, tx, account_id, other_id, blocks=True)


async def unblock(messages: Messages, other_id: int, principal: Principal) -> None:
    """What they send from now on arrives. Nothing happens where they weren't blocked."""
    account_id = principal.require("messages")
    await messages.runtime.limits.take(CHANGE, principal)
    async with messages.runtime.db.transaction() as tx:
        await store.lock_people(tx, [account_id])
        if await store.delete_block(tx, account_id, other_id):
            await _set_blocks(messages, tx, account_id, other_id, blocks=False)


async def _set_blocks(messages: Messages, tx: Tx, account_id: int, other_id: int, *, blocks: bool) -> None:
    """The conversation of the two, if there is one, says so where messages are sent from. Only one of them is told."""
    conversation_id = await places.find_direct(tx, account_id, other_id)
    if conversation_id is not None:
        await places.lock_conversation(tx, conversation_id)
        await places.set_blocks(tx, conversation_id, account_id, blocks=blocks)
        # Members of a revision never change: that is what processes remember them by.
        await places.raise_revisions(tx, [conversation_id])
        tell_conversation(messages, tx, conversation_id, [account_id])
    tell_self(messages, tx, account_id)
