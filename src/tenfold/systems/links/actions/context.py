"""What the link shortener holds open in a process, and how a link is shown to whom."""

from datetime import UTC, datetime

import msgspec
from argon2 import PasswordHasher

from tenfold.platform.cache import Cache
from tenfold.platform.db import Database, Tx
from tenfold.platform.identity import Principal
from tenfold.platform.ids import Ids, made_at
from tenfold.platform.leases import Counter as Lease
from tenfold.systems.links import rules, store
from tenfold.systems.links.errors import LinkNotFound, NotYours
from tenfold.systems.links.hot import Blocklist
from tenfold.systems.links.settings import LinksSettings
from tenfold.systems.links.types import Link, StoredLink, Target


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


#: Cheaper than an account's: a link's password guards one address, and is asked for at each visit.
HASHER = PasswordHasher(time_cost=2, memory_cost=8 * 1024, parallelism=1)


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


def seen_by(links: Links, link: StoredLink, account_id: int | None) -> Link:
    """A link as somebody may see it: where its target is hidden, it is said to lead to itself, and has no title."""
    view = shown(links, link, datetime.now(UTC))
    if rules.hides_target(link, account_id):
        view.url, view.title = view.short_url, None
    return view


async def visible(tx: Tx, code: str, principal: Principal) -> StoredLink:
    """Somebody else's link looks like none at all: who owns which code is nobody's business."""
    link = await store.find_link(tx, code)
    if link is None or not rules.may_see(link, principal.account_id):
        raise LinkNotFound(code=code)
    return link


def owner_of(principal: Principal) -> int:
    if principal.account_id is None:
        raise NotYours
    return principal.account_id
