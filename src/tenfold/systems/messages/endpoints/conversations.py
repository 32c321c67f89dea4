"""HTTP doors of conversations, groups and invitations. Decode, call one action, encode."""

from typing import Annotated, Any

from litestar import Controller, Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tenfold.contracts.messages.entities import (
    AddMembers,
    Begin,
    ChangeMember,
    Conversation,
    Conversations,
    Invite,
    Invited,
)
from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Identity, Principal
from tenfold.platform.identity.rules import base_url, read_id
from tenfold.systems.messages.actions import conversations, groups
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.endpoints.numbers import number_of
from tenfold.systems.messages.errors import ConversationNotFound, MemberNotFound

#: Bytes of a request that names a thousand people.
MOST_BODY = 64 * 1024


class ConversationEndpoints(Controller):
    path = "/api/v1"
    tags = ("Conversations",)
    request_max_body_size = MOST_BODY

    @post("/conversations")
    async def begin(
        self,
        data: JSONBody[Begin],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Conversation:
        """Begin a conversation; with one other there is one only, with a key one group."""
        return await conversations.begin(messages, data, principal)

    @get("/conversations")
    async def list_own(
        self,
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
        after: Annotated[str, QueryParameter(max_length=19)] = "0",
    ) -> Conversations:
        """One's own conversations in the order in which they were begun, a hundred at a time, without devices."""
        place = read_id(after)
        if place is None:
            raise Invalid(fields={"after": "is what a page before said"})
        return await conversations.list_own(messages, place, principal)

    @get("/conversations/{conversation_id:str}")
    async def read(
        self,
        conversation_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Conversation:
        """A conversation with the devices of all its members."""
        return await conversations.read(messages, number_of(conversation_id, ConversationNotFound), principal)

    @post("/conversations/{conversation_id:str}/members", status_code=200)
    async def add_members(
        self,
        conversation_id: FromPath[str],
        data: JSONBody[AddMembers],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Conversation:
        number = number_of(conversation_id, ConversationNotFound)
        return await groups.add_members(messages, number, data, principal)

    @patch("/conversations/{conversation_id:str}/members/{account_id:str}")
    async def change_member(
        self,
        conversation_id: FromPath[str],
        account_id: FromPath[str],
        data: JSONBody[ChangeMember],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Conversation:
        number = number_of(conversation_id, ConversationNotFound)
        other = number_of(account_id, MemberNotFound)
        return await groups.change_member(messages, number, other, data, principal)

    @delete("/conversations/{conversation_id:str}/members/{account_id:str}")
    async def remove_member(
        self,
        conversation_id: FromPath[str],
        account_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> None:
        """Leave, or remove somebody."""
        number = number_of(conversation_id, ConversationNotFound)
        await groups.remove_member(messages, number, number_of(account_id, MemberNotFound), principal)

    @post("/conversations/{conversation_id:str}/invite")
    async def invite(
        self,
        request: Request[Any, Any, Any],
        conversation_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
        identity: NamedDependency[Identity],
    ) -> Invite:
        """A code that lets people in, in place of that before. It is shown this once."""
        made = await groups.make_invite(messages, number_of(conversation_id, ConversationNotFound), principal)
        base = base_url(identity.address, request.headers.get("host", ""), str(request.scope.get("prefix", "")))
        return Invite(code=made.code, url=f"{base}/app/join/{made.code}", ends_at=made.ends_at)

    @delete("/conversations/{conversation_id:str}/invite")
    async def revoke_invite(
        self,
        conversation_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> None:
        await groups.revoke_invite(messages, number_of(conversation_id, ConversationNotFound), principal)

    @get("/invites/{code:str}")
    async def look_at_invite(
        self,
        code: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Invited:
        """What a code leads to."""
        return await groups.look_at_invite(messages, code, principal)

    @post("/invites/{code:str}/accept", status_code=200)
    async def accept_invite(
        self,
        code: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Conversation:
        """Join the group."""
        return await groups.accept_invite(messages, code, principal)
