"""Links are made: one, or many at once."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import batched

import msgspec

from tenfold.platform.errors import Invalid, TenfoldError
from tenfold.platform.identity import Principal
from tenfold.systems.links import rules, store
from tenfold.systems.links.actions.context import HASHER, Links, owner_of, shown
from tenfold.systems.links.errors import AliasTaken
from tenfold.systems.links.types import BulkResult, Link, Refusal, ShortenLink, StoredLink


async def shorten(links: Links, wish: ShortenLink, principal: Principal, *, host: str = "") -> tuple[Link, bool]:
    """Make a link, or with `reuse` find the owner's. The link, and whether it is new.

    `host` is what the request came to, so that no link leads back to it. Raises BadLink, AliasTaken.
    """
    now = datetime.now(UTC)
    link = await _prepare(links, wish, principal, now, links.own_hosts | {host})
    reuse_of = link.owner_id if wish.reuse and _is_plain(wish) else None
    while True:
        if wish.alias is None:
            # Outside the transaction: to lease numbers takes a connection, and all might wait in here with theirs.
            [number] = await links.numbers.take()
            link.code = links.scrambler.code(number)
        async with links.db.transaction() as tx:
            if reuse_of is not None:
                found = await store.find_plain_link(tx, reuse_of, link.url, link.status)
                if found is not None:
                    return shown(links, found, now), False
            if await store.insert_link(tx, link):
                break
        if wish.alias is not None:  # else an alias of seven letters was there first: take the next number
            raise _taken(wish.alias)
    if wish.alias is not None:  # somebody may have asked for it while it led nowhere
        await links.cache.invalidate([link.code])
    return shown(links, link, now), True


def _is_plain(wish: ShortenLink) -> bool:
    return (wish.alias, wish.expires_at, wish.ttl, wish.password, wish.max_clicks) == (None,) * 5


async def _prepare(
    links: Links, wish: ShortenLink, principal: Principal, now: datetime, own_hosts: Collection[str]
) -> StoredLink:
    """A link that only lacks its code. Raises BadLink."""
    return StoredLink(
        code="" if wish.alias is None else rules.checked_alias(wish.alias),
        id=links.ids.next(),
        owner_id=principal.account_id,
        url=rules.normal_url(wish.url, own_hosts=own_hosts, blocked=links.blocklist.domains()),
        title=wish.title,
        tags=list(dict.fromkeys(wish.tags)),
        status=wish.status,
        expires_at=rules.expiry(now, wish.expires_at, wish.ttl),
        password=None if wish.password is None else await asyncio.to_thread(HASHER.hash, wish.password),
        max_clicks=wish.max_clicks,
        clicks_left=wish.max_clicks,
    )


def _taken(alias: str) -> AliasTaken:
    return AliasTaken(alias=alias, fields={"alias": "already leads somewhere"})


#: Rows of a bulk call that are made at a time: whoever follows a link in this process meanwhile waits for so many.
PIECE = 500


def check_rows(links: Links, rows: Sequence[object], principal: Principal) -> None:
    """Raises NotYours for a stranger, Invalid for more rows than one call may have."""
    owner_of(principal)
    if len(rows) > links.settings.bulk_rows:
        raise Invalid(fields={"links": f"at most {links.settings.bulk_rows} rows a call"})


async def shorten_many(
    links: Links, rows: Sequence[object], principal: Principal, *, host: str = ""
) -> list[BulkResult]:
    """Make many links of rows that each should be a ShortenLink, or the dict of one: a bad row fails alone.

    Results in the order of the rows. Raises what check_rows does.
    """
    check_rows(links, rows, principal)
    results: list[BulkResult] = []
    for some in batched(rows, PIECE):
        results += await _shorten_some(links, some, principal, host)
    return results


async def _shorten_some(links: Links, rows: Sequence[object], principal: Principal, host: str) -> list[BulkResult]:
    now = datetime.now(UTC)
    own_hosts = links.own_hosts | {host}
    results: list[BulkResult] = [BulkResult() for _ in rows]
    fresh: dict[str, tuple[int, StoredLink]] = {}
    unnamed: list[tuple[int, StoredLink]] = []
    for place, row in enumerate(rows):
        try:
            wish = row if isinstance(row, ShortenLink) else msgspec.convert(row, ShortenLink, strict=False)
            if wish.reuse:
                results[place].link = (await shorten(links, wish, principal, host=host))[0]
                continue
            link = await _prepare(links, wish, principal, now, own_hosts)
        except TenfoldError as error:
            results[place].error = refusal(error)
            continue
        except msgspec.ValidationError as error:
            results[place].error = refusal(Invalid.of(error))
            continue
        if link.code in fresh:
            results[place].error = refusal(_taken(link.code))
        elif link.code:
            fresh[link.code] = place, link
        else:
            unnamed.append((place, link))
    aliases = list(fresh)
    while fresh or unnamed:
        codes = links.scrambler.codes(await links.numbers.take(len(unnamed)))
        named, nameless, unnamed = set(aliases), unnamed, []
        for code, (place, link) in zip(codes, nameless, strict=True):
            link.code = code
            if code in fresh:  # it is an alias of this call: take the next number
                unnamed.append((place, link))
            else:
                fresh[code] = place, link
        async with links.db.transaction() as tx:
            kept = await store.insert_links(tx, [link for _, link in fresh.values()])
        for code, (place, link) in fresh.items():
            if code in kept:
                results[place].link = shown(links, link, now)
            elif code in named:
                results[place].error = refusal(_taken(code))
            else:
                unnamed.append((place, link))
        fresh = {}
    if aliases:
        await links.cache.invalidate(aliases)
    return results


def refusal(error: TenfoldError) -> Refusal:
    return Refusal(error.code, error.status, error.title, error.detail, error.fields)
