"""Links change and go: by their owners, or by the clock. Says afterwards what has changed."""

import asyncio
from datetime import UTC, datetime

from msgspec import UNSET

from tenfold.contracts.links import LinksChanged
from tenfold.platform import outbox
from tenfold.platform.db import Tx
from tenfold.platform.identity import Principal
from tenfold.systems.links import rules, store
from tenfold.systems.links.actions.context import HASHER, Links, shown
from tenfold.systems.links.errors import LinkNotFound, NotYours
from tenfold.systems.links.types import ChangeLink, Link, StoredLink


async def change(links: Links, code: str, wish: ChangeLink, principal: Principal, *, host: str = "") -> Link:
    """Change the person's own link. Raises LinkNotFound, NotYours, BadLink."""
    now = datetime.now(UTC)
    password = wish.password
    if isinstance(password, str):
        password = await asyncio.to_thread(HASHER.hash, password)
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
