"""Groups: who comes, who goes, who may what, and codes that let people in."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from tenfold.contracts.messages.entities import AddMembers, ChangeMember, Conversation, Invited
from tenfold.platform.db import Tx
from tenfold.platform.identity import Principal
from tenfold.platform.limits import Limit
from tenfold.systems.messages.actions import conversations
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.actions.conversations import BEGIN, read_accounts, require_fewer
from tenfold.systems.messages.actions.people import list_people, require_people
from tenfold.systems.messages.actions.telling import milliseconds, tell_conversation
from tenfold.systems.messages.errors import ConversationNotFound, InviteNotFound
from tenfold.systems.messages.rules import invites
from tenfold.systems.messages.rules.groups import (
    Standing,
    may_change_role,
    may_remove,
    require_admin,
    require_room,
    successor,
)
from tenfold.systems.messages.store import conversations as store
from tenfold.systems.messages.store import people
from tenfold.systems.messages.store.conversations import ConversationRow

#: Codes that somebody tries.
TRY = Limit(name="messages.invites", rates={"anonymous": "120/hour", "enterprise": "10000/hour"})


class NewInvite(NamedTuple):
    """A code, to be shown once, and when it ends (milliseconds since 1970)."""

    code: str
    ends_at: int


async def _lock(tx: Tx, conversation_id: int) -> tuple[ConversationRow, dict[int, Standing]]:
    """A conversation that nobody else changes meanwhile, and its members. Raises ConversationNotFound."""
    found = await store.lock_conversation(tx, conversation_id)
    if found is None:
        raise ConversationNotFound
    return found, await store.list_standings(tx, conversation_id)


async def _changed(messages: Messages, tx: Tx, conversation_id: int, account_ids: Sequence[int]) -> None:
    await store.raise_revisions(tx, [conversation_id])
    tell_conversation(messages, tx, conversation_id, account_ids)


async def add_members(messages: Messages, conversation_id: int, data: AddMembers, principal: Principal) -> Conversation:
    """People come into a group; those who are in it stay. Nobody has to be online, nor to have a device.

    Raises ConversationNotFound, NotAdmin, DirectIsForTwo, PersonNotFound, GroupFull, TooManyConversations.
    """
    me = principal.require("messages")
    await messages.runtime.limits.take(BEGIN, principal)
    async with messages.runtime.db.transaction() as tx:
        if not await store.is_member(tx, conversation_id, me):
            raise ConversationNotFound  # before anybody is told who is there
        accounts = read_accounts(data.accounts)
        await require_people(tx, accounts)
        await people.lock_people(tx, accounts)
        conversation, members = await _lock(tx, conversation_id)
        require_admin(conversation.kind, members, me)
        new = [each for each in accounts if each not in members]
        await _join(messages, tx, conversation, members, new)
    return await conversations.read(messages, conversation_id, principal)


async def _join(
    messages: Messages, tx: Tx, conversation: ConversationRow, members: dict[int, Standing], new: Sequence[int]
) -> None:
    """People, who are locked, come into a group, which is locked then."""
    if not new:
        return
    require_room(len(members), len(new), messages.settings.group_members)
    await require_fewer(messages, tx, new)
    await store.add_members(tx, conversation, new, "member")
    await _changed(messages, tx, conversation.id, [*members, *new])


async def change_member(
    messages: Messages, conversation_id: int, other_id: int, data: ChangeMember, principal: Principal
) -> Conversation:
    """Make somebody an admin, or no longer. Raises what `may_change_role` does, and TooManyRequests."""
    me = principal.require("messages")
    await messages.runtime.limits.take(BEGIN, principal)
    async with messages.runtime.db.transaction() as tx:
        conversation, members = await _lock(tx, conversation_id)
        may_change_role(conversation.kind, members, me, other_id, data.role)
        if members[other_id].role != data.role:
            await store.set_role(tx, conversation_id, other_id, data.role)
            await _changed(messages, tx, conversation_id, list(members))
    return await conversations.read(messages, conversation_id, principal)


async def remove_member(messages: Messages, conversation_id: int, other_id: int, principal: Principal) -> None:
    """Leave a group, or remove somebody from it. Raises what `may_remove` does.

    When the last admin leaves, the longest member becomes one; when nobody is left, the group is gone.
    """
    me = principal.require("messages")
    async with messages.runtime.db.transaction() as tx:
        conversation, members = await _lock(tx, conversation_id)
        may_remove(conversation.kind, members, me, other_id)
        await store.delete_member(tx, conversation_id, other_id)
        left = [each for each in members.values() if each.account_id != other_id]
        if not left:
            await store.delete_conversation(tx, conversation_id)
        elif (heir := successor(left)) is not None:
            await store.set_role(tx, conversation_id, heir, "admin")
        if me != other_id or conversation.invite_by == other_id:
            # Who was removed may know the code that others were given.
            await store.set_invite(tx, conversation_id, None, None, 0)
        await _changed(messages, tx, conversation_id, list(members))


async def make_invite(messages: Messages, conversation_id: int, principal: Principal) -> NewInvite:
    """A code that lets people in, in place of that before. Raises ConversationNotFound, DirectIsForTwo, NotAdmin."""
    me = principal.require("messages")
    await messages.runtime.limits.take(TRY, principal)
    code = invites.new_code(conversation_id)
    async with messages.runtime.db.transaction() as tx:
        conversation, members = await _lock(tx, conversation_id)
        require_admin(conversation.kind, members, me)
        days = messages.settings.invite_days
        ends_at = await store.set_invite(tx, conversation_id, invites.digest(code), me, days)
    assert ends_at is not None  # the conversation is locked
    return NewInvite(code, milliseconds(ends_at))


async def revoke_invite(messages: Messages, conversation_id: int, principal: Principal) -> None:
    """The code lets nobody in any more. Raises ConversationNotFound, DirectIsForTwo, NotAdmin."""
    me = principal.require("messages")
    async with messages.runtime.db.transaction() as tx:
        conversation, members = await _lock(tx, conversation_id)
        require_admin(conversation.kind, members, me)
        await store.set_invite(tx, conversation_id, None, None, 0)


async def look_at_invite(messages: Messages, text: str, principal: Principal) -> Invited:
    """What a code leads to. Raises Unauthorized, TooManyRequests, InviteNotFound."""
    me = principal.require("messages")
    await messages.runtime.limits.take(TRY, principal)
    code = _read_code(text)
    async with messages.runtime.db.snapshot(fresh=True) as tx:
        conversation = _require_good(await store.find_conversation(tx, code.conversation_id), code)
        by_id = conversation.invite_by or 0
        by = (await list_people(tx, [by_id])).get(by_id)
        if by is None:
            raise InviteNotFound
        return Invited(
            conversation=str(conversation.id),
            members=await store.count_members(tx, conversation.id),
            by=by,
            joined=await store.is_member(tx, conversation.id, me),
        )


async def accept_invite(messages: Messages, text: str, principal: Principal) -> Conversation:
    """Join a group by its code; who is in it stays.

    Raises what `look_at_invite` does, GroupFull, TooManyConversations.
    """
    me = principal.require("messages")
    await messages.runtime.limits.take(TRY, principal)
    code = _read_code(text)
    async with messages.runtime.db.transaction() as tx:
        await people.lock_people(tx, [me])
        conversation = _require_good(await store.lock_conversation(tx, code.conversation_id), code)
        members = await store.list_standings(tx, conversation.id)
        await _join(messages, tx, conversation, members, [] if me in members else [me])
    return await conversations.read(messages, conversation.id, principal)


def _read_code(text: str) -> invites.Code:
    code = invites.read_code(text)
    if code is None:
        raise InviteNotFound
    return code


def _require_good(conversation: ConversationRow | None, code: invites.Code) -> ConversationRow:
    """The conversation that a code lets into now. Raises InviteNotFound."""
    if conversation is None or not invites.fits(code, conversation.invite):
        raise InviteNotFound
    if conversation.invite_ends_at is None or conversation.invite_ends_at.timestamp() <= time.time():
        raise InviteNotFound
    return conversation
