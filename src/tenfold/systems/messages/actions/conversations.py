"""Conversations: begun, listed and read. Who isn't in one is told that there is none."""

from collections.abc import Sequence

from tenfold.contracts.messages.entities import Begin, Conversation, Conversations, Device, Member
from tenfold.platform.db import Tx
from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.platform.limits import Limit
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.actions.people import list_people, require_people
from tenfold.systems.messages.actions.telling import milliseconds, tell_conversation
from tenfold.systems.messages.errors import ConversationNotFound, PersonNotFound, TooManyConversations
from tenfold.systems.messages.rules.groups import require_room
from tenfold.systems.messages.store import conversations as store
from tenfold.systems.messages.store import devices, people
from tenfold.systems.messages.store.conversations import ConversationRow

#: Conversations that an account begins, and changes of who is in them.
BEGIN = Limit(
    name="messages.begin",
    rates={"anonymous": "10/hour", "free": "300/hour burst 100", "plus": "1000/hour", "enterprise": "100000/hour"},
)
#: Conversations of a page.
PAGE = 100


async def begin(messages: Messages, data: Begin, principal: Principal) -> Conversation:
    """A conversation of two, which may be there already, or a group, of which there is one by its key.

    Raises Unauthorized, TooManyRequests, Invalid, PersonNotFound, GroupFull, TooManyConversations.
    """
    me = principal.require("messages")
    await messages.runtime.limits.take(BEGIN, principal)
    others = [each for each in read_accounts(data.accounts) if each != me]
    if data.kind == "direct" and (len(others) != 1 or len(data.accounts) != 1):
        raise Invalid(fields={"accounts": "names one person, who isn't yourself"})
    require_room(1, len(others), messages.settings.group_members if data.kind == "group" else 2)
    async with messages.runtime.db.transaction() as tx:
        await require_people(tx, others)
        await people.lock_people(tx, [me, *others])
        if data.kind == "direct":
            conversation_id = await _begin_direct(messages, tx, me, others[0])
        else:
            conversation_id = await _begin_group(messages, tx, me, others, data.key)
    return await read(messages, conversation_id, principal)


async def _begin_direct(messages: Messages, tx: Tx, me: int, other: int) -> int:
    """The one conversation of two people, who are locked."""
    there = await store.find_direct(tx, me, other)
    if there is not None:
        return there
    await require_fewer(messages, tx, [me, other])
    made = await store.insert_conversation(tx, messages.runtime.ids.next(), "direct")
    await store.add_members(tx, made, [me, other], "member")
    await store.set_peers(tx, made.id, me, other)
    told = [me]
    for one, another in ((me, other), (other, me)):
        if await people.blocks(tx, one, another):
            await store.set_blocks(tx, made.id, one, blocks=True)
        elif one == other:
            told.append(other)
    tell_conversation(messages, tx, made.id, told)
    return made.id


async def _begin_group(messages: Messages, tx: Tx, me: int, others: Sequence[int], key: str | None) -> int:
    there = None if key is None else await store.find_begun(tx, me, key)
    if there is not None:
        return there
    await require_fewer(messages, tx, [me, *others])
    made = await store.insert_conversation(tx, messages.runtime.ids.next(), "group")
    await store.add_members(tx, made, [me], "admin")
    await store.add_members(tx, made, others, "member")
    if key is not None:
        await store.insert_begun(tx, me, key, made.id)
    tell_conversation(messages, tx, made.id, [me, *others])
    return made.id


async def require_fewer(messages: Messages, tx: Tx, account_ids: Sequence[int]) -> None:
    """Raises TooManyConversations if one of these people, who are locked, can't be in one more."""
    most = messages.settings.conversations
    if await store.most_memberships(tx, account_ids) >= most:
        raise TooManyConversations(most=most)


def read_accounts(texts: Sequence[str]) -> list[int]:
    """Their numbers, each once. Raises PersonNotFound for what can't be one."""
    numbers = [read_id(each) for each in texts]
    if None in numbers:
        raise PersonNotFound
    return list(dict.fromkeys(each for each in numbers if each is not None))


async def list_own(messages: Messages, after: int, principal: Principal) -> Conversations:
    """The account's conversations after one, in the order in which they were begun, without devices."""
    me = principal.require("messages")
    async with messages.runtime.db.snapshot(fresh=True) as tx:
        ids = await store.list_memberships(tx, me, after, PAGE)
        shown = await _shown(tx, me, await store.list_conversations(tx, ids))
    return Conversations(conversations=shown, next=str(ids[-1]) if len(ids) == PAGE else None)


async def read(messages: Messages, conversation_id: int, principal: Principal) -> Conversation:
    """One conversation with the devices of its members, all of the same moment. Raises ConversationNotFound."""
    me = principal.require("messages")
    async with messages.runtime.db.snapshot(fresh=True) as tx:
        found = await store.find_conversation(tx, conversation_id)
        if found is None or not await store.is_member(tx, conversation_id, me):
            raise ConversationNotFound
        [shown] = await _shown(tx, me, [found], with_devices=True)
    return shown


async def _shown(
    tx: Tx, me: int, conversations: Sequence[ConversationRow], *, with_devices: bool = False
) -> list[Conversation]:
    """Conversations as one of their members sees them."""
    members = await store.list_members(tx, [each.id for each in conversations])
    accounts = list({each.account_id for each in members} | {me})
    persons = await list_people(tx, accounts)
    secretive = await people.list_secretive(tx, accounts)
    by_conversation: dict[int, list[Member]] = {each.id: [] for each in conversations}
    for each in members:
        if each.account_id not in persons:
            continue
        # Who doesn't tell what they have read isn't told it by others either.
        tells = each.account_id == me or not secretive & {me, each.account_id}
        by_conversation[each.conversation_id].append(
            Member(
                account=persons[each.account_id],
                role=each.role,  # type: ignore[arg-type]
                delivered=each.delivered,
                read=each.read if tells else 0,
            )
        )
    return [
        Conversation(
            id=str(each.id),
            kind=each.kind,  # type: ignore[arg-type]
            revision=each.revision,
            last=each.last_seq,
            created_at=milliseconds(each.created_at),
            members=by_conversation[each.id],
            devices=await _devices(tx, each.id) if with_devices else (),
        )
        for each in conversations
    ]


async def _devices(tx: Tx, conversation_id: int) -> list[Device]:
    return [
        Device(
            id=str(each.id),
            account=str(each.account_id),
            identity_key=each.identity_key,
            signing_key=each.signing_key,
            signature=each.signature,
            added_at=milliseconds(each.added_at),
        )
        for each in await devices.list_member_devices(tx, conversation_id)
    ]
