"""What can be done with links. Opens transactions, and says afterwards what has changed."""

import asyncio
import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import batched, zip_longest

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from msgspec import UNSET

from tenfold.contracts.links import LinksChanged
from tenfold.platform import outbox
from tenfold.platform.cache import Cache
from tenfold.platform.db import Database, Tx
from tenfold.platform.errors import Invalid, TenfoldError
from tenfold.platform.identity import Principal
from tenfold.platform.ids import Ids, made_at
from tenfold.platform.leases import Counter as Lease
from tenfold.systems.links import rules, store
from tenfold.systems.links.errors import AliasTaken, LinkGone, LinkNotFound, NotYours, WrongPassword
from tenfold.systems.links.hot import Allowance, Blocklist
from tenfold.systems.links.settings import LinksSettings
from tenfold.systems.links.types import (
    Bucket,
    BulkResult,
    ChangeLink,
    Count,
    Link,
    LinkPage,
    ListedLink,
    Overview,
    Period,
    Refusal,
    ShortenLink,
    State,
    Stats,
    StoredLink,
    Target,
    Totals,
)

#: Cheaper than an account's: a link's password guards one address, and is asked for at each visit.
_HASHER = PasswordHasher(time_cost=2, memory_cost=8 * 1024, parallelism=1)


class Links(msgspec.Struct, frozen=True):
    """What the link shortener holds open in a process."""

    db: Database
    ids: Ids
    settings: LinksSettings
    cache: Cache[str, Target]
    numbers: Lease
    scrambler: rules.Scrambler
    blocklist: Blocklist
    own_hosts: frozenset[str]
    short_url: str
    """What stands before a code, with a slash at the end."""


# --- making ---------------------------------------------------------------------------------------------------------


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
        password=None if wish.password is None else await asyncio.to_thread(_HASHER.hash, wish.password),
        max_clicks=wish.max_clicks,
        clicks_left=wish.max_clicks,
    )


def _taken(alias: str) -> AliasTaken:
    return AliasTaken(alias=alias, fields={"alias": "already leads somewhere"})


#: Rows of a bulk call that are made at a time: whoever follows a link in this process meanwhile waits for so many.
PIECE = 500


def check_rows(links: Links, rows: Sequence[object], principal: Principal) -> None:
    """Raises NotYours for a stranger, Invalid for more rows than one call may have."""
    _owner(principal)
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


# --- reading --------------------------------------------------------------------------------------------------------


def shown(links: Links, link: StoredLink, now: datetime) -> Link:
    return Link(
        code=link.code,
        short_url=links.short_url + link.code,
        url=link.url,
        title=link.title,
        tags=list(link.tags),
        status=link.status,
        created_at=datetime.fromtimestamp(made_at(link.id), UTC),
        expires_at=link.expires_at,
        max_clicks=link.max_clicks,
        clicks_left=link.clicks_left,
        has_password=link.password is not None,
        enabled=link.enabled,
        state=rules.state_of(link, now),
        anonymous=link.owner_id is None,
    )


async def read(links: Links, code: str, principal: Principal) -> Link:
    """A link that the person owns, or that nobody does. Raises LinkNotFound."""
    async with links.db.read(fresh=True) as tx:
        return seen_by(links, await _visible(tx, code, principal), principal.account_id)


def seen_by(links: Links, link: StoredLink, account_id: int | None) -> Link:
    """A link as somebody may see it: where its target is hidden, it is said to lead to itself, and has no title."""
    view = shown(links, link, datetime.now(UTC))
    if rules.hides_target(link, account_id):
        view.url, view.title = view.short_url, None
    return view


async def _visible(tx: Tx, code: str, principal: Principal) -> StoredLink:
    """Somebody else's link looks like none at all: who owns which code is nobody's business."""
    link = await store.find_link(tx, code)
    if link is None or not rules.may_see(link, principal.account_id):
        raise LinkNotFound(code=code)
    return link


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
    owner_id = _owner(principal)
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


def _owner(principal: Principal) -> int:
    if principal.account_id is None:
        raise NotYours
    return principal.account_id


def decoded_cursor(cursor: str | None) -> int | None:
    """Raises Invalid."""
    if cursor is None:
        return None
    if not (0 < len(cursor) <= 11 and cursor.isascii() and cursor.isalnum()):
        raise Invalid(fields={"cursor": "is not one that a page of ours ended with"})
    return min(rules.base62_decode(cursor), 2**63 - 1)


async def export(links: Links, principal: Principal) -> AsyncIterator[str]:
    """All of a person's links as CSV, a page of rows at a time; no transaction stays open between pages."""
    owner_id = _owner(principal)
    now = datetime.now(UTC)
    yield "code,short_url,url,title,tags,status,created_at,expires_at,max_clicks,state,clicks\r\n"
    before: int | None = None
    while True:
        async with links.db.read() as tx:
            some = await store.list_links(
                tx, owner_id, before=before, most=1000, search=None, tag=None, state=None, now=now
            )
            sums = await store.list_sums(tx, [link.code for link in some])
        if not some:
            return
        clicks: Counter[str] = Counter()
        for each in sums:
            clicks[each.code] += each.clicks
        out = io.StringIO()
        write = csv.writer(out).writerow
        for link in some:
            view = shown(links, link, now)
            ends = link.expires_at.isoformat() if link.expires_at else ""
            write([
                _cell(link.code), view.short_url, link.url, _cell(link.title or ""), _cell(";".join(link.tags)),
                link.status, view.created_at.isoformat(), ends, link.max_clicks or "", view.state,
                clicks[link.code],
            ])  # fmt: skip
        yield out.getvalue()
        before = some[-1].id


def _is_formula(text: str) -> bool:
    return text.lstrip("'")[:1] in ("=", "+", "-", "@")


def _cell(text: str) -> str:
    """A cell that a spreadsheet doesn't take for a formula."""
    return f"'{text}" if _is_formula(text) else text


def _text(cell: str) -> str:
    """What was in a cell before `_cell`."""
    cell = cell.strip()
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


#: Columns that make a link, and those that `export` adds and a new link has its own of.
_COLUMNS = ("url", "alias", "code", "title", "tags", "status", "expires_at", "max_clicks")
_OURS = frozenset({"short_url", "created_at", "state", "clicks"})


def parse_csv(text: str, most: int) -> list[dict[str, object]]:
    """Rows of a CSV file for `shorten_many`. Its first line names columns, in any order; `tags` are separated by ;.

    What `export` writes is read back: code is the alias. Lines that say nothing are passed over. Raises Invalid where
    the header has no url, a column is unknown, or there are too many rows.
    """
    rows: list[dict[str, object]] = []
    try:
        reader = csv.reader(io.StringIO(text), strict=True)
        names = [name.strip().lower() for name in next(reader, ())]
        if "url" not in names or set(names) - _OURS - {*_COLUMNS, ""}:
            raise Invalid(fields={"body": f"the first line names columns, url and any of {', '.join(_COLUMNS)}"})
        for cells in reader:
            row: dict[str, object] = {
                name or "unnamed": _text(cell)
                for name, cell in zip_longest(names, cells, fillvalue="")
                if cell.strip() and name not in _OURS
            }
            if "tags" in row:
                row["tags"] = [tag.strip() for tag in str(row["tags"]).split(";") if tag.strip()]
            if "code" in row:
                row.setdefault("alias", row.pop("code"))
            row = {name: value for name, value in row.items() if value}
            if row and len(rows) == most:
                raise Invalid(fields={"body": f"at most {most} rows a call"})
            if row:
                rows.append(row)
    except csv.Error as error:
        raise Invalid(fields={"body": f"is not CSV: {error}"}) from error
    return rows


# --- changing -------------------------------------------------------------------------------------------------------


async def change(links: Links, code: str, wish: ChangeLink, principal: Principal, *, host: str = "") -> Link:
    """Change the person's own link. Raises LinkNotFound, NotYours, BadLink."""
    now = datetime.now(UTC)
    password = wish.password
    if isinstance(password, str):
        password = await asyncio.to_thread(_HASHER.hash, password)
    async with links.db.transaction() as tx:
        link = await _lock_own(tx, code, principal)
        if wish.url is not UNSET:
            blocked = links.blocklist.domains()
            link.url = rules.normal_url(wish.url, own_hosts=links.own_hosts | {host}, blocked=blocked)
        if wish.expires_at is not UNSET:
            link.expires_at = rules.expiry(now, wish.expires_at, None)
        if wish.max_clicks is not UNSET:
            link.clicks_left = rules.clicks_left(wish.max_clicks, link)
            link.max_clicks = wish.max_clicks
        if password is not UNSET:
            link.password = password
        for name in ("title", "tags", "status", "enabled"):
            value = getattr(wish, name)
            if value is not UNSET:
                setattr(link, name, list(dict.fromkeys(value)) if name == "tags" else value)
        await store.update_link(tx, link)
        await outbox.emit(tx, LinksChanged(codes=[code]))
    await links.cache.invalidate([code])
    return shown(links, link, now)


async def delete(links: Links, code: str, principal: Principal) -> None:
    """Remove the person's own link and its statistics. Raises LinkNotFound, NotYours."""
    async with links.db.transaction() as tx:
        await _lock_own(tx, code, principal)
        await store.delete_link(tx, code)
        await outbox.emit(tx, LinksChanged(codes=[code]))
    await links.cache.invalidate([code])


async def _lock_own(tx: Tx, code: str, principal: Principal) -> StoredLink:
    link = await store.lock_link(tx, code)
    if link is None or not rules.may_see(link, principal.account_id):
        raise LinkNotFound(code=code)
    if link.owner_id is None:
        raise NotYours
    return link


# --- following ------------------------------------------------------------------------------------------------------


async def load_targets(db: Database, codes: Sequence[str]) -> Mapping[str, Target]:
    """What the redirect's cache asks for when it doesn't know."""
    async with db.read(fresh=True) as tx:
        found = await store.find_links(tx, codes)
    return {
        link.code: Target(
            code=link.code,
            url=link.url,
            status=link.status,
            owner_id=link.owner_id or 0,
            expires=link.expires_at.timestamp() if link.expires_at else float("inf"),
            enabled=link.enabled,
            guarded=link.password is not None or link.max_clicks is not None,
        )
        for link in found
    }


async def find_stored(links: Links, code: str) -> StoredLink | None:
    async with links.db.read(fresh=True) as tx:
        return await store.find_link(tx, code)


async def take_clicks(db: Database, code: str, wanted: int) -> int:
    """Take clicks from a limited link; how many were granted."""
    async with db.transaction() as tx:
        return await store.take_clicks(tx, code, wanted, datetime.now(UTC))


async def take_click(allowance: Allowance, link: StoredLink) -> None:
    """See that a link may be followed, and use up one click of it where they are numbered. Raises LinkGone."""
    check_active(link)
    if link.max_clicks is not None and not await allowance.take(link.code):
        raise LinkGone(code=link.code, state="exhausted")


def check_active(link: StoredLink) -> None:
    """Raises LinkGone."""
    state = rules.state_of(link, datetime.now(UTC))
    if state != "active":
        raise LinkGone(code=link.code, state=state)


async def check_password(link: StoredLink, password: str) -> None:
    """Raises WrongPassword."""
    if link.password is not None:
        try:
            await asyncio.to_thread(_HASHER.verify, link.password, password[:128])
        except VerifyMismatchError:
            raise WrongPassword from None


# --- counting -------------------------------------------------------------------------------------------------------


async def stats(links: Links, code: str, period: Period, principal: Principal) -> Stats:
    """The clicks of a link in a period. Statistics of a link without an owner are for all. Raises LinkNotFound."""
    now = datetime.now(UTC)
    buckets = rules.buckets_of(period, now)
    since, until = buckets[0].at, rules.hour_of(now) + timedelta(hours=1)
    async with links.db.read() as tx:
        await _visible(tx, code, principal)
        counts = await store.list_counts(tx, code, since, until)
    values: dict[str, Counter[str]] = {dimension: Counter() for dimension in rules.DIMENSIONS}
    totals: list[Bucket] = []
    for each in counts:
        if each.at is not None:
            totals.append(Bucket(each.at, each.clicks, each.visitors, each.bots))
        elif each.dimension in values:
            values[each.dimension][each.value] += each.clicks
    series = rules.filled(buckets, totals)
    ranked = {name: [Count(*row) for row in rules.top(counter)] for name, counter in values.items()}
    return Stats(
        period=period,
        interval="hour" if period == "24h" else "day",
        from_=since,
        to=until,
        totals=_sum(series),
        series=series,
        countries=ranked["country"],
        referrers=ranked["referrer"],
        devices=ranked["device"],
        browsers=ranked["browser"],
        systems=ranked["system"],
    )


def _sum(series: Sequence[Bucket]) -> Totals:
    return Totals(
        sum(bucket.clicks for bucket in series),
        sum(bucket.visitors for bucket in series),
        sum(bucket.bots for bucket in series),
    )


async def overview(links: Links, principal: Principal) -> Overview:
    """All links of a person and their clicks of the last 24 hours. Raises NotYours for a stranger."""
    owner_id = _owner(principal)
    async with links.db.read() as tx:
        count = await store.count_links(tx, owner_id)
    series = await day_of(links.db, rules.of_owner(owner_id))
    totals = _sum(series)
    return Overview(count, totals.clicks, totals.visitors, totals.bots, series)


async def estimate_links(db: Database) -> int:
    """How many links there are, about."""
    async with db.read() as tx:
        return await store.estimate_links(tx)


async def day_of(db: Database, code: str) -> list[Bucket]:
    """The last 24 hours of a code, pseudo-codes of the rollups included."""
    buckets = rules.buckets_of("24h", datetime.now(UTC))
    async with db.read() as tx:
        return rules.filled(buckets, await store.list_totals(tx, code, buckets[0].at))


async def count(tx: Tx, seen: Sequence[rules.Seen], admit: Callable[[str, datetime, str, str], bool]) -> None:
    """Add clicks to the rollups: two statements, however many clicks. The caller's transaction makes it once."""
    first = rules.first_visits(seen)
    new = await store.add_visitors(tx, list(first)) if first else set()
    rows = rules.rollup(seen, [click for key, click in first.items() if key in new], admit)
    if rows:
        await store.add_clicks(tx, rows)


# --- keeping --------------------------------------------------------------------------------------------------------

#: Rows that one transaction of a sweep touches: few enough that nobody waits for it.
SWEEP = 2000


async def remove_expired(links: Links, before: datetime) -> int:
    """Remove links that expired before a moment, with their statistics. How many."""
    removed = 0
    while True:
        async with links.db.transaction() as tx:
            codes = await store.list_expired(tx, before, SWEEP)
            for code in codes:
                await store.delete_link(tx, code)
            if codes:
                await outbox.emit(tx, LinksChanged(codes=codes))
        removed += len(codes)
        if len(codes) < SWEEP:
            return removed


async def fold_hours(links: Links, before: datetime) -> int:
    """Fold hours that began before a moment into their days. How many rows were folded."""
    folded = 0
    while True:
        async with links.db.transaction() as tx:
            some = await store.fold_hours(tx, before, 5 * SWEEP)
        folded += some
        if some < 5 * SWEEP:
            return folded


async def forget_visitors(links: Links, before: date) -> int:
    """Forget visitors of days before one. How many."""
    forgotten = 0
    while True:
        async with links.db.transaction() as tx:
            some = await store.forget_visitors(tx, before, 5 * SWEEP)
        forgotten += some
        if some < 5 * SWEEP:
            return forgotten
