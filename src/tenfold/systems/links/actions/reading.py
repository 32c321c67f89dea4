"""Links are read by whom they belong to: one, or a page of them."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec

from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Principal
from tenfold.systems.links import rules, store
from tenfold.systems.links.actions.context import Links, owner_of, seen_by, shown, visible
from tenfold.systems.links.types import Link, LinkPage, ListedLink, State


async def read(links: Links, code: str, principal: Principal) -> Link:
    """A link that the person owns, or that nobody does. Raises LinkNotFound."""
    async with links.db.read(fresh=True) as tx:
        return seen_by(links, await visible(tx, code, principal), principal.account_id)


async def list_links(
    links: Links,
    principal: Principal,
    *,
    search: str | None,
    tag: str | None,
    state: State | None,
    cursor: str | None,
    limit: int,
) -> LinkPage:
    """The person's own links, newest first. Raises NotYours for a stranger, Invalid for a cursor that isn't ours."""
    owner_id = owner_of(principal)
    now = datetime.now(UTC)
    before = decoded_cursor(cursor)
    async with links.db.read() as tx:
        found = await store.list_links(
            tx, owner_id, before=before, most=limit + 1, search=search, tag=tag, state=state, now=now
        )
        some = found[:limit]
        sums = await store.list_sums(tx, [link.code for link in some])
    counted: dict[str, Counter[object]] = {link.code: Counter() for link in some}
    for each in sums:
        counted[each.code][each.at] += each.clicks
    days = [(now - timedelta(days=13 - day)).date() for day in range(14)]
    items = [
        ListedLink(
            **msgspec.structs.asdict(shown(links, link, now)),
            clicks=counted[link.code].total(),
            series=[counted[link.code][day] for day in days],
        )
        for link in some
    ]
    return LinkPage(items, rules.base62_encode(some[-1].id) if len(found) > limit else None)


def decoded_cursor(cursor: str | None) -> int | None:
    """Raises Invalid."""
    if cursor is None:
        return None
    if not (0 < len(cursor) <= 11 and cursor.isascii() and cursor.isalnum()):
        raise Invalid(fields={"cursor": "is not one that a page of ours ended with"})
    return min(rules.base62_decode(cursor), 2**63 - 1)
