"""Who is there: told to those who watch, as far as each has decided, and back only to those who tell it themselves."""

from collections.abc import Sequence

from tenfold.contracts.messages.frames import Presence
from tenfold.platform.db import Database
from tenfold.systems.messages.hot import Watching
from tenfold.systems.messages.store import presence as store


async def watchable(db: Database, account_id: int, wanted: Sequence[int]) -> dict[int, int | None]:
    """Those of the accounts whose presence somebody may see, with when they were last there (milliseconds since 1970).

    Strangers' is nobody's business: only people with whom one shares a conversation can be watched at all.
    """
    others = [each for each in wanted if each != account_id]
    if not others:
        return {}
    async with db.read() as tx:
        contacts = await store.list_contacts(tx, account_id, others)
        blocking = await store.list_blocking(tx, account_id, others)
        seen = {row.account_id: row for row in await store.list_seen(tx, [account_id, *others])}
    if account_id in seen and seen[account_id].last_seen == "nobody":
        return {}
    may: dict[int, int | None] = {}
    for each in contacts - blocking:
        row = seen.get(each)
        if row is None or row.last_seen != "nobody":
            may[each] = None if row is None or row.seen_at is None else int(row.seen_at.timestamp() * 1000)
    return may


async def states(watching: Watching, may: dict[int, int | None]) -> list[Presence]:
    """The presence of each of them now."""
    online = await watching.online(list(may))
    return [
        Presence(account=str(each), online=each in online, seen=None if each in online else seen)
        for each, seen in may.items()
    ]
