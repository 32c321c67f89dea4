"""To which push services messages may go, and what their answers mean."""

from collections.abc import Collection
from typing import Literal
from urllib.parse import urlsplit

#: The push services of browsers, and the domains below which others of theirs are.
HOSTS = frozenset({"fcm.googleapis.com", "updates.push.services.mozilla.com"})
DOMAINS = (".push.apple.com", ".notify.windows.com", ".push.services.mozilla.com")
#: Seconds until a message that a push service didn't take is sent again, doubled with each attempt, and how often.
RETRY = 30.0
ATTEMPTS = 8
#: Seconds that a push service may ask to be left alone.
LONGEST = 6 * 3600.0

type Outcome = Literal["done", "gone", "again"]


def host_of(endpoint: str, own: Collection[str]) -> tuple[str, bool]:
    """The host of a push subscription's address, and whether messages may go there.

    `own` are hosts that whoever runs this allows besides, with their port where it isn't the scheme's; only these may
    do without TLS.
    """
    try:
        url = urlsplit(endpoint)
        port = url.port
    except ValueError:
        return "", False
    host = url.hostname or ""
    if url.username is not None or url.password is not None or url.fragment:
        return host, False
    named = host if port is None else f"{host}:{port}"
    if named in own:
        return named, url.scheme in ("http", "https")
    known = host in HOSTS or host.endswith(DOMAINS)
    return named, known and url.scheme == "https" and port in (None, 443)


def outcome(status: int, attempt: int) -> Outcome:
    """What a push service's status means (RFC 8030, 5 and 7.3); 0: it can't be reached.

    What it refuses for other reasons than being busy it would refuse again.
    """
    if status in (404, 410):
        return "gone"
    if status in (0, 408, 429) or status >= 500:
        return "again" if attempt < ATTEMPTS else "done"
    return "done"
