"""What moderation has flagged is looked at by people: whoever runs this, by `tenfold review`, since no account may."""

from collections.abc import Sequence

from tenfold.platform.db import Database
from tenfold.platform.errors import Invalid
from tenfold.platform.identity.rules import read_id
from tenfold.platform.system import Held
from tenfold.systems.chat.store import flagged as store


async def list_held(db: Database, limit: int) -> list[Held]:
    """The newest that nobody has looked at, with what flagged them, the surest category first."""
    async with db.read(fresh=True) as tx:
        found = await store.list_waiting(tx, limit)
    return [
        Held(
            id=str(each.id),
            at=each.created_at,
            kind=each.side,
            reasons=dict(sorted(each.scores.items(), key=lambda item: -item[1])),
            text=each.text,
        )
        for each in found
    ]


async def close(db: Database, ids: Sequence[str]) -> int:
    """Note that somebody has looked at these. How many were waiting. Raises Invalid."""
    numbers = [number for each in ids if (number := read_id(each)) is not None]
    if len(numbers) != len(ids):
        raise Invalid(fields={"id": "is a number, as the list shows it"})
    async with db.transaction() as tx:
        return await store.note_reviewed(tx, numbers)
