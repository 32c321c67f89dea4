"""Links are followed: where they lead, and whether somebody may go there."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from argon2.exceptions import VerifyMismatchError

from tenfold.platform.db import Database
from tenfold.systems.links import rules, store
from tenfold.systems.links.actions.context import HASHER, Links
from tenfold.systems.links.errors import LinkGone, WrongPassword
from tenfold.systems.links.hot import Allowance
from tenfold.systems.links.types import StoredLink, Target


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
            await asyncio.to_thread(HASHER.verify, link.password, password[:128])
        except VerifyMismatchError:
            raise WrongPassword from None
