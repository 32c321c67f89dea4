"""Which number a message gets, and whether it may be sent at all. The store has locked what decides it."""

from collections.abc import Mapping, Sequence

from tenfold.platform.errors import TenfoldError
from tenfold.systems.messages.errors import ContentMissing, ConversationNotFound, IdTaken, StaleMembers
from tenfold.systems.messages.types import Members, Place, Sealed, SentRow, Stored

#: A client's id: unique in its conversation for its device.
type Name = tuple[int, int, str]


def name_of(asked: Sealed | SentRow) -> Name:
    return asked.conversation_id, asked.device_id, asked.id


def number(
    asked: Sequence[Sealed],
    places: Mapping[int, Place],
    members: Mapping[int, Members],
    sent: Mapping[Name, SentRow],
    now: int,
) -> list[Stored | TenfoldError]:
    """An outcome for each, in order: the next number of its conversation, the number that it has already, or why not.

    `now` is in milliseconds since 1970.
    """
    known = {name: Stored(row.seq, row.at) for name, row in sent.items()}
    last = {place.id: place.last_seq for place in places.values()}
    outcomes: list[Stored | TenfoldError] = []
    for each in asked:
        before = known.get(name_of(each))
        if before is not None:
            outcomes.append(before if before.seq else IdTaken())
            continue
        refused = check(each, places.get(each.conversation_id), members.get(each.conversation_id))
        if refused is not None:
            outcomes.append(refused)
            continue
        last[each.conversation_id] += 1
        stored = Stored(last[each.conversation_id], now, new=True)
        known[name_of(each)] = Stored(stored.seq, now)
        outcomes.append(stored)
    return outcomes


def check(asked: Sealed, place: Place | None, members: Members | None) -> TenfoldError | None:
    """Why a message can't be sent to a conversation as it is now; None when it can."""
    if place is None or members is None or asked.account_id not in members.account_ids:
        return ConversationNotFound()
    if asked.revision != place.revision or members.devices.get(asked.device_id) != asked.account_id:
        return StaleMembers(revision=place.revision)
    sealed_for, others = asked.envelopes.keys(), members.devices.keys() - {asked.device_id}
    if place.kind == "group":
        if asked.content is None:
            return ContentMissing()
        fits = sealed_for <= others
    else:
        fits = sealed_for == others
    return None if fits else StaleMembers(revision=place.revision)


def recipients(asked: Sealed, members: Members) -> dict[int, int]:
    """Account by device, of those into whose inboxes it goes."""
    return {
        device_id: account_id
        for device_id, account_id in members.devices.items()
        if device_id != asked.device_id and (account_id == asked.account_id or account_id not in members.blocking)
    }
