"""Misconduct that people report. Whoever runs this looks at it by `tenfold review`, since no account may."""

from collections.abc import Sequence

from tenfold.contracts.messages.entities import Report
from tenfold.platform.db import Database
from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.platform.limits import Limit
from tenfold.platform.system import Held
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.actions.people import list_people, require_people
from tenfold.systems.messages.errors import ConversationNotFound, PersonNotFound
from tenfold.systems.messages.store import conversations as places
from tenfold.systems.messages.store import reports as store

#: Reports of one account.
REPORT = Limit(name="messages.report", rates={"anonymous": "20/day"})


async def report(messages: Messages, data: Report, principal: Principal) -> None:
    """Keep a report. Raises Unauthorized, TooManyRequests, PersonNotFound, ConversationNotFound."""
    me = principal.require("messages")
    await messages.runtime.limits.take(REPORT, principal)
    account_id = read_id(data.account)
    conversation_id = None if data.conversation is None else read_id(data.conversation)
    if account_id is None:
        raise PersonNotFound
    if data.conversation is not None and conversation_id is None:
        raise ConversationNotFound
    async with messages.runtime.db.transaction() as tx:
        await require_people(tx, [account_id])
        if conversation_id is not None and not await places.is_member(tx, conversation_id, me):
            raise ConversationNotFound
        report_id = messages.runtime.ids.next()
        await store.insert_report(tx, report_id, account_id, me, conversation_id, data.reason, data.quoted)


async def list_held(db: Database, limit: int) -> list[Held]:
    """The newest reports that nobody has looked at: of whom, by whom, why, and what was quoted."""
    async with db.read(fresh=True) as tx:
        found = await store.list_waiting(tx, limit)
        people = await list_people(tx, [each for row in found for each in (row.account_id, row.by_id)])
    names = {number: person.name for number, person in people.items()}
    return [
        Held(
            id=str(row.id),
            at=row.created_at,
            # People's own words, of which nothing is sure.
            kind=f"{names.get(row.by_id, row.by_id)} reports {names.get(row.account_id, row.account_id)}",
            reasons={},
            text="\n".join([row.reason, *(f"> {each}" for each in row.quoted)]),
        )
        for row in found
    ]


async def close(db: Database, ids: Sequence[str]) -> int:
    """Note that somebody has looked at these. How many were waiting. Raises Invalid."""
    numbers = [number for each in ids if (number := read_id(each)) is not None]
    if len(numbers) != len(ids):
        raise Invalid(fields={"id": "is a number, as the list shows it"})
    async with db.transaction() as tx:
        return await store.close_reports(tx, numbers)
