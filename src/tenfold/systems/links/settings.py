"""What can be set about links: TENFOLD_LINKS_* or the table [links]."""

from pathlib import Path
from typing import Annotated

import msgspec


class LinksSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    #: The host that short links carry, with its scheme; None: the platform's address and the prefix /links.
    short_url: str | None = None
    #: Further hosts that lead here; links to them would go in circles and are refused.
    own_hosts: tuple[str, ...] = ()
    #: A file of domains, one a line, that no link may lead to. It is read again when it changes.
    blocklist: Path | None = None
    #: Codes that one process leases at a time.
    code_lease: int = 10_000
    #: Links that one process keeps in memory, and for how long (seconds) before it asks Valkey again.
    memory_links: int = 100_000
    memory_ttl: float = 30.0
    #: Seconds that Valkey keeps a link, and that an unknown code is remembered as unknown.
    cache_ttl: float = 3600.0
    unknown_ttl: float = 10.0
    #: Seconds and clicks after which buffered clicks are sent off, and how many may wait while NATS is away.
    flush_seconds: float = 0.1
    flush_clicks: Annotated[int, msgspec.Meta(ge=1, le=600)] = 500  # more might not fit into an event
    buffered_clicks: int = 200_000
    #: Days after which an hour's figures are folded into its day's; the last 24 hours are always shown by the hour.
    hourly_days: Annotated[int, msgspec.Meta(ge=2)] = 8
    #: Days that links are kept after they expired.
    expired_days: int = 30
    #: Different values (referrers, say) kept a link and hour; further ones count as "other".
    values_per_hour: int = 200
    #: Rows of one bulk call.
    bulk_rows: int = 10_000
