"""Tables of links: all of a person's as CSV, and rows of CSV for new ones."""

import csv
import io
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import zip_longest

from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Principal
from tenfold.systems.links import store
from tenfold.systems.links.actions.context import Links, owner_of, shown


async def export(links: Links, principal: Principal) -> AsyncIterator[str]:
    """All of a person's links as CSV, a page of rows at a time; no transaction stays open between pages."""
    owner_id = owner_of(principal)
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
