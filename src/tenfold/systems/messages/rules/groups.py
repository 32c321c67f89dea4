"""Who may do what in a conversation, and who follows its last admin."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from tenfold.systems.messages.errors import (
    ConversationNotFound,
    DirectIsForTwo,
    GroupFull,
    LastAdmin,
    MemberNotFound,
    NotAdmin,
)


class Standing(NamedTuple):
    """What decides about a member."""

    account_id: int
    role: str
    joined_at: datetime


def require_member(members: Mapping[int, Standing], account_id: int) -> Standing:
    """The member who asks. Raises ConversationNotFound: to others it isn't there."""
    found = members.get(account_id)
    if found is None:
        raise ConversationNotFound
    return found


def require_admin(kind: str, members: Mapping[int, Standing], account_id: int) -> None:
    """Raises ConversationNotFound, DirectIsForTwo, NotAdmin."""
    asking = require_member(members, account_id)
    if kind == "direct":
        raise DirectIsForTwo
    if asking.role != "admin":
        raise NotAdmin


def require_room(members: int, new: int, most: int) -> None:
    """Raises GroupFull if so many new ones are too many."""
    if members + new > most:
        raise GroupFull(most=most)


def may_remove(kind: str, members: Mapping[int, Standing], account_id: int, other_id: int) -> None:
    """Everybody may leave a group; admins may remove others. Raises what `require_admin` does, and MemberNotFound."""
    if account_id != other_id:
        require_admin(kind, members, account_id)
        if other_id not in members:
            raise MemberNotFound
    elif require_member(members, account_id) and kind == "direct":
        raise DirectIsForTwo


def may_change_role(kind: str, members: Mapping[int, Standing], account_id: int, other_id: int, role: str) -> None:
    """Raises what `require_admin` does, MemberNotFound, and LastAdmin: a group always has one."""
    require_admin(kind, members, account_id)
    if other_id not in members:
        raise MemberNotFound
    admins = {each.account_id for each in members.values() if each.role == "admin"}
    if role != "admin" and admins == {other_id}:
        raise LastAdmin


def successor(left: Sequence[Standing]) -> int | None:
    """Who becomes an admin of those who are left: the longest member, if there is no admin. None: nobody has to."""
    if not left or any(each.role == "admin" for each in left):
        return None
    return min(left, key=lambda each: (each.joined_at, each.account_id)).account_id
