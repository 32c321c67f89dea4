"""SQL of what the instance says about itself."""

import msgspec

from tenfold.platform.db import Tx

#: Rows from which on a count is the planner's estimate, which is kept by autovacuum.
ESTIMATED = 100_000
#: Posts that are looked at to see who is active.
LOOKED_AT = 10_000


class Usage(msgspec.Struct, frozen=True):
    """How much there is here, about."""

    accounts: int
    posts: int
    #: Who has posted publicly of late, as far as the last posts tell.
    active: int


async def find_usage(tx: Tx, since: int) -> Usage:
    """Counts for everybody to see, cheap however much there is. Active is who has posted above an id."""
    sql = """SELECT count(DISTINCT author_id) FROM (
                 SELECT author_id FROM feed.post WHERE visibility = 'public' AND reblog_of_id IS NULL AND id > $1
                 ORDER BY id DESC LIMIT $2) newest"""
    active = int(await tx.value(sql, since, LOOKED_AT))
    return Usage(await _count(tx, "feed.account"), await _count(tx, "feed.post"), active)


async def _count(tx: Tx, table: str) -> int:
    estimate = int(await tx.value("SELECT reltuples::bigint FROM pg_class WHERE oid = $1::text::regclass", table))
    if estimate >= ESTIMATED:
        return estimate
    return int(await tx.value(f"SELECT count(*) FROM {table}"))  # noqa: S608  # one of ours
