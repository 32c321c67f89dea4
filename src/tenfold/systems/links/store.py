"""SQL of the link shortener. Takes a transaction, returns structs, decides nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.links.rules import Row, RowKey
from tenfold.systems.links.types import Bucket, State, StoredLink

_COLUMNS = "code, id, owner_id, url, title, tags, status, expires_at, password, max_clicks, clicks_left, enabled"


class Sum(msgspec.Struct):
    """Clicks of one code, all that were ever counted and by day."""

    code: str
    at: date
    clicks: int


class Counted(msgspec.Struct):
    """A sum of the rollups; `at` is None where it is one of all hours."""

    at: datetime | None
    dimension: str
    value: str
    clicks: int
    visitors: int
    bots: int


# --- links ----------------------------------------------------------------------------------------------------------


async def insert_link(tx: Tx, link: StoredLink) -> bool:
    """Keep a new link. False when its code is taken."""
    sql = f"""INSERT INTO links.link ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
              ON CONFLICT (code) DO NOTHING"""  # noqa: S608 (constant columns)
    return await tx.execute(sql, *msgspec.structs.astuple(link)) == 1


async def insert_links(tx: Tx, links: Sequence[StoredLink]) -> set[str]:
    """Keep many new links in one statement. The codes that were kept: the others were taken.

    They travel as one JSON text: the driver takes a microsecond to encode each element of an array.
    """
    sql = f"""INSERT INTO links.link ({_COLUMNS})
              SELECT {_COLUMNS} FROM json_populate_recordset(NULL::links.link, $1)
              ON CONFLICT (code) DO NOTHING RETURNING code"""  # noqa: S608 (constant columns)
    return {record["code"] for record in await tx.connection.fetch(sql, msgspec.json.encode(links).decode())}


async def find_link(tx: Tx, code: str) -> StoredLink | None:
    return await tx.find(StoredLink, f"SELECT {_COLUMNS} FROM links.link WHERE code = $1", code)  # noqa: S608


async def find_links(tx: Tx, codes: Sequence[str]) -> list[StoredLink]:
    sql = f"SELECT {_COLUMNS} FROM links.link WHERE code = ANY($1)"  # noqa: S608 (constant columns)
    return await tx.rows(StoredLink, sql, codes)


async def lock_link(tx: Tx, code: str) -> StoredLink | None:
    """Find a link and keep others from changing it until the transaction ends."""
    sql = f"SELECT {_COLUMNS} FROM links.link WHERE code = $1 FOR UPDATE"  # noqa: S608 (constant columns)
    return await tx.find(StoredLink, sql, code)


async def find_plain_link(tx: Tx, owner_id: int, url: str, status: int) -> StoredLink | None:
    """The owner's newest link to an address that has no alias-like conditions: no end, password or maximum.

    Takes the pair's advisory lock, so that two who ask at once get one link.
    """
    lock = "SELECT pg_advisory_xact_lock(hashtextextended($2, $1))"
    await tx.value(lock, owner_id, url)
    sql = f"""SELECT {_COLUMNS} FROM links.link
              WHERE owner_id = $1 AND hashtextextended(url, 0) = hashtextextended($2, 0) AND url = $2 AND status = $3
                AND enabled AND password IS NULL AND max_clicks IS NULL
                AND expires_at IS NULL
              ORDER BY id DESC LIMIT 1"""  # noqa: S608 (constant columns)
    return await tx.find(StoredLink, sql, owner_id, url, status)


async def list_links(
    tx: Tx,
    owner_id: int,
    *,
    before: int | None,
    most: int,
    search: str | None,
    tag: str | None,
    state: State | None,
    now: datetime,
) -> list[StoredLink]:
    """An owner's links, newest first, from below an id; all words of `search` must occur in them."""
    sql = f"""SELECT {_COLUMNS} FROM links.link
              WHERE owner_id = $1 AND id < $2 AND ($3::text IS NULL OR $3 = ANY(tags))
                AND NOT EXISTS (SELECT FROM unnest($4::text[]) word
                                WHERE concat_ws(' ', code, title, url, array_to_string(tags, ' ')) NOT ILIKE word)
                AND ($5::text IS NULL OR $5 = CASE WHEN NOT enabled THEN 'disabled'
                    WHEN expires_at <= $6 THEN 'expired' WHEN clicks_left <= 0 THEN 'exhausted' ELSE 'active' END)
              ORDER BY id DESC LIMIT $7"""  # noqa: S608 (constant columns)
    words = [f"%{_escaped(word)}%" for word in (search or "").split()]
    return await tx.rows(
        StoredLink, sql, owner_id, 2**63 - 1 if before is None else before, tag, words, state, now, most
    )


def _escaped(word: str) -> str:
    return word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


async def count_links(tx: Tx, owner_id: int) -> int:
    return int(await tx.value("SELECT count(*) FROM links.link WHERE owner_id = $1", owner_id))


async def estimate_links(tx: Tx) -> int:
    """How many links there are, as far as the last autovacuum knows: exact counting would read them all."""
    sql = (
        "SELECT CASE WHEN reltuples < 10000 THEN -1 ELSE reltuples END FROM pg_class WHERE oid = 'links.link'::regclass"
    )
    estimate = int(await tx.value(sql))
    return estimate if estimate >= 0 else int(await tx.value("SELECT count(*) FROM links.link"))


async def update_link(tx: Tx, link: StoredLink) -> None:
    """Replace what can change of a link that is locked."""
    sql = """UPDATE links.link SET url = $2, title = $3, tags = $4, status = $5, expires_at = $6, password = $7,
                    max_clicks = $8, clicks_left = $9, enabled = $10 WHERE code = $1"""
    await tx.execute(
        sql, link.code, link.url, link.title, link.tags, link.status, link.expires_at, link.password, link.max_clicks,
        link.clicks_left, link.enabled,
    )  # fmt: skip


async def take_clicks(tx: Tx, code: str, wanted: int, now: datetime) -> int:
    """Take up to so many of a link's remaining clicks. How many there were to take.

    The row is locked for one statement only, and one statement serves all that wait in a process.
    """
    sql = """WITH before AS (SELECT code, clicks_left FROM links.link
                             WHERE code = $1 AND enabled AND clicks_left > 0
                               AND (expires_at IS NULL OR expires_at > $3) FOR UPDATE)
             UPDATE links.link l SET clicks_left = greatest(0, before.clicks_left - $2) FROM before
             WHERE l.code = $1 AND before.code = $1 RETURNING least($2, before.clicks_left)"""
    return int(await tx.value(sql, code, wanted, now) or 0)


async def delete_link(tx: Tx, code: str) -> bool:
    """Remove a link and what was counted of it. False when it was not there."""
    found = await tx.execute("DELETE FROM links.link WHERE code = $1", code) == 1
    await tx.execute("DELETE FROM links.hourly WHERE code = $1", code)
    await tx.execute("DELETE FROM links.daily WHERE code = $1", code)
    await tx.execute("DELETE FROM links.visitor WHERE code = $1", code)
    return found


async def list_expired(tx: Tx, before: datetime, most: int) -> list[str]:
    """Codes of links that expired before a moment."""
    sql = "SELECT code FROM links.link WHERE expires_at < $1 ORDER BY expires_at LIMIT $2"
    return [record["code"] for record in await tx.connection.fetch(sql, before, most)]


# --- clicks ---------------------------------------------------------------------------------------------------------


async def add_visitors(tx: Tx, visits: Sequence[tuple[str, date, int]]) -> set[tuple[str, date, int]]:
    """Remember visitors of links and days. Those that were new."""
    sql = """INSERT INTO links.visitor (code, day, visitor)
             SELECT * FROM unnest($1::text[], $2::date[], $3::bigint[]) ORDER BY 1, 2, 3
             ON CONFLICT DO NOTHING RETURNING code, day, visitor"""
    codes, days, visitors = zip(*visits, strict=True)
    records = await tx.connection.fetch(sql, codes, days, visitors)
    return {(record["code"], record["day"], record["visitor"]) for record in records}


async def add_clicks(tx: Tx, rows: Mapping[RowKey, Row]) -> None:
    """Add to the hourly rollup. Rows are taken in one order by all, so that two who add at once don't deadlock.

    Columns travel as delimited text: the driver takes a microsecond to encode each element of an array, and a batch has
    a hundred thousand. What is counted has no control characters, so the delimiter is free.
    """
    columns = [f"(string_to_array(${place}, E'\\x1f'))[2:]" for place in range(1, 8)]
    sql = f"""INSERT INTO links.hourly AS kept (code, at, dimension, value, clicks, visitors, bots)
              SELECT code, to_timestamp(at::bigint), dimension, value, clicks::bigint, visitors::bigint, bots::bigint
              FROM unnest({", ".join(columns)}) AS row (code, at, dimension, value, clicks, visitors, bots)
              ON CONFLICT (code, at, dimension, value) DO UPDATE
              SET clicks = kept.clicks + excluded.clicks, visitors = kept.visitors + excluded.visitors,
                  bots = kept.bots + excluded.bots"""  # noqa: S608 (constant columns)
    keys = sorted(rows)
    added = [rows[key] for key in keys]
    seconds = {at: str(int(at.timestamp())) for at in {key[1] for key in keys}}
    codes, hours, dimensions, values = zip(*keys, strict=True)
    texts = [codes, [seconds[at] for at in hours], dimensions, values]
    numbers = [[str(getattr(row, name)) for row in added] for name in ("clicks", "visitors", "bots")]
    # The first element of each is empty and left out again: text of no elements and of one empty one looks the same.
    await tx.execute(sql, *("\x1f".join(("", *column)) for column in (*texts, *numbers)))


async def list_counts(tx: Tx, code: str, since: datetime, until: datetime) -> list[Counted]:
    """What was counted of a code in [since, until), hours and folded days alike: totals by hour or day, values in all.

    Added up here, because a popular link has a hundred thousand rows a quarter and a page shows fifty of their sums.
    """
    sql = """SELECT CASE WHEN dimension = '' THEN at END AS at, dimension, value,
                    sum(clicks)::bigint AS clicks, sum(visitors)::bigint AS visitors, sum(bots)::bigint AS bots
             FROM (SELECT at, dimension, value, clicks, visitors, bots FROM links.hourly
                   WHERE code = $1 AND at >= $2 AND at < $3
                   UNION ALL
                   SELECT at::timestamp AT TIME ZONE 'UTC', dimension, value, clicks, visitors, bots FROM links.daily
                   WHERE code = $1 AND at >= ($2 AT TIME ZONE 'UTC')::date AND at < $3 AT TIME ZONE 'UTC') AS counted
             GROUP BY 1, 2, 3"""
    return await tx.rows(Counted, sql, code, since, until)


async def list_totals(tx: Tx, code: str, since: datetime) -> list[Bucket]:
    """Hourly totals of a code, oldest first."""
    sql = """SELECT at, clicks, visitors, bots FROM links.hourly
             WHERE code = $1 AND at >= $2 AND dimension = '' AND value = '' ORDER BY at"""
    return await tx.rows(Bucket, sql, code, since)


async def list_sums(tx: Tx, codes: Sequence[str]) -> list[Sum]:
    """Clicks of many codes by day, over all time."""
    sql = """SELECT code, (at AT TIME ZONE 'UTC')::date AS at, sum(clicks)::bigint AS clicks FROM links.hourly
             WHERE code = ANY($1) AND dimension = '' GROUP BY 1, 2
             UNION ALL
             SELECT code, at, clicks FROM links.daily WHERE code = ANY($1) AND dimension = ''"""
    return await tx.rows(Sum, sql, codes)


async def fold_hours(tx: Tx, before: datetime, most: int) -> int:
    """Move some hours that began before a moment into their days. How many rows there were to move."""
    sql = """WITH moved AS (
                 DELETE FROM links.hourly h USING (
                     SELECT code, at, dimension, value FROM links.hourly WHERE at < $1 LIMIT $2
                     FOR UPDATE SKIP LOCKED) old
                 WHERE (h.code, h.at, h.dimension, h.value) = (old.code, old.at, old.dimension, old.value)
                 RETURNING h.*),
             folded AS (
                 INSERT INTO links.daily AS kept (code, at, dimension, value, clicks, visitors, bots)
                 SELECT code, (at AT TIME ZONE 'UTC')::date, dimension, value, sum(clicks), sum(visitors), sum(bots)
                 FROM moved GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
                 ON CONFLICT (code, at, dimension, value) DO UPDATE
                 SET clicks = kept.clicks + excluded.clicks, visitors = kept.visitors + excluded.visitors,
                     bots = kept.bots + excluded.bots)
             SELECT count(*) FROM moved"""
    return int(await tx.value(sql, before, most))


async def forget_visitors(tx: Tx, before: date, most: int) -> int:
    """Remove some visitors of days long over. How many."""
    sql = """DELETE FROM links.visitor WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM links.visitor WHERE day < $1 LIMIT $2))"""
    return await tx.execute(sql, before, most)


def sums_of(sums: Sequence[Sum], code: str) -> Counter[date]:
    """The clicks of one code by day."""
    days: Counter[date] = Counter()
    for each in sums:
        if each.code == code:
            days[each.at] += each.clicks
    return days
