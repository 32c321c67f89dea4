"""Pure decisions of the link shortener: codes, addresses, states, and how clicks add up. No I/O."""

import ipaddress
import re
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import product
from urllib.parse import quote, urlsplit, urlunsplit

import idna
import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tenfold.systems.links.errors import BadLink
from tenfold.systems.links.types import Bucket, Period, State, StoredLink

# --- codes ----------------------------------------------------------------------------------------------------------

#: The digits of the case study's base62, in its order.
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
CODE_LENGTH = 7
CODES = 62**CODE_LENGTH
#: The case study's counter begins at a million.
FIRST_NUMBER = 1_000_000
CODE = re.compile(r"[A-Za-z0-9_-]{3,64}")

_LEFT = 62**4
_RIGHT = 62**3
_ROUNDS = 8
_DIGITS_2 = [a + b for a in DIGITS for b in DIGITS]
_DIGITS_3 = ["".join(digits) for digits in product(DIGITS, repeat=3)]


class Scrambler:
    """A keyed permutation of [0, 62^7): the next number becomes a code that tells nothing of its neighbours.

    An unbalanced Feistel network over the four left and three right digits with AES as the round function and addition
    modulo each side's size, as in NIST SP 800-38G (FF1), so that no number needs a second walk. Eight rounds.
    """

    __slots__ = ("_encrypt",)

    def __init__(self, key: bytes) -> None:
        """`key` has 32 bytes."""
        # ECB is right here: each block is a round and a half of a number, and only sums of the output are ever shown.
        # It has no state, so one encryptor serves all calls; making one costs as much as a hundred blocks.
        self._encrypt = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update  # noqa: S305

    def code(self, number: int) -> str:
        """The code of a number, seven digits. Raises ValueError outside [0, 62^7)."""
        return self.codes([number])[0]

    def codes(self, numbers: Sequence[int]) -> list[str]:
        """The codes of many numbers: a round costs one call for all of them. Raises ValueError outside [0, 62^7)."""
        for number in (min(numbers, default=0), max(numbers, default=0)):
            if not 0 <= number < CODES:
                raise ValueError(f"{number} has no code of {CODE_LENGTH} digits")
        left = [number // _RIGHT for number in numbers]
        right = [number % _RIGHT for number in numbers]
        for step in range(0, _ROUNDS, 2):
            left = [(a + b) % _LEFT for a, b in zip(left, self._mix(step, right), strict=True)]
            right = [(a + b) % _RIGHT for a, b in zip(right, self._mix(step + 1, left), strict=True)]
        return [
            _DIGITS_2[high // 3844] + _DIGITS_2[high % 3844] + _DIGITS_3[low]
            for high, low in zip(left, right, strict=True)
        ]

    def number(self, code: str) -> int:
        """The number behind a code: the inverse of `code`. Raises ValueError for what isn't a code."""
        if len(code) != CODE_LENGTH or not code.isascii() or not code.isalnum():
            raise ValueError(f"{code!r} is not a code")
        left, right = base62_decode(code[:4]), base62_decode(code[4:])
        for step in reversed(range(0, _ROUNDS, 2)):
            right = (right - self._mix(step + 1, [left])[0]) % _RIGHT
            left = (left - self._mix(step, [right])[0]) % _LEFT
        return left * _RIGHT + right

    def _mix(self, step: int, halves: list[int]) -> Sequence[int]:
        """64 bits of AES(half, step) for each half."""
        blocks = array("Q", [step]) * (2 * len(halves))
        blocks[::2] = array("Q", halves)
        mixed = array("Q", self._encrypt(blocks.tobytes()))
        return mixed[::2]


def base62_encode(number: int, width: int = 0) -> str:
    """Digits of a number, padded with zeros to a width (case study, "Short Code Generation")."""
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = DIGITS[digit] + digits
    return digits.rjust(width, "0")


def base62_decode(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * 62 + DIGITS.index(digit)
    return number


#: Words that the house needs for itself, now or surely later; compared without case.
RESERVED = frozenset(
    re.findall(
        r"[\w-]+",
        """
        about account accounts admin answers api app apps assets auth billing blog bulk chat coder contact dashboard
        demo docs download export favicon feed healthz help home images import index legal link links live login logout
        me messages metrics new null oauth openapi page pages password preview privacy public qr readyz recommend rides
        robots root search security settings signin signout signup sitemap static stats status support system systems
        tenfold terms undefined user users video well-known www
        """,
    )
)


def checked_alias(alias: str) -> str:
    """An alias that may be a code. Raises BadLink."""
    if not CODE.fullmatch(alias):
        raise BadLink(reason="alias", fields={"alias": "3 to 64 letters, digits, hyphens and underscores"})
    if alias.lower() in RESERVED:
        raise BadLink(reason="alias", fields={"alias": f"{alias} is kept for the house itself"})
    return alias


# --- addresses ------------------------------------------------------------------------------------------------------

MAX_URL = 8192
#: Already normal: lower-case host, no credentials, a path, only characters that stay as they are.
_PLAIN = re.compile(
    r"https?://(?=[^/:]{1,253}[/:])((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63})(:[1-9]\d{0,4})?"
    r"/[A-Za-z0-9/_.~!$&'()*+,;=:@?-]*"
)
_DOTTED = re.compile(r"/\.{1,2}(?:[/?]|$)")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPED = re.compile(r"%[0-9a-f]{2}|%[0-9A-F][a-f]|%[a-f][0-9A-F]")
_SAFE_PATH = "/:@!$&'()*+,;=~-._%"
_SAFE_QUERY = _SAFE_PATH + "?"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def normal_url(url: str, *, own_hosts: Collection[str] = (), blocked: Collection[str] = ()) -> str:
    """The one way to write an address: lower-case scheme and host, IDNA, no default port, escapes in upper case.

    `own_hosts` are ours, as host or host:port; `blocked` are domains, whose subdomains are blocked too. Normalising
    twice changes nothing. Raises BadLink with the reason.
    """
    url = url.strip(" \t\r\n")
    if len(url) > MAX_URL:
        raise _bad_url(f"longer than {MAX_URL} characters")
    plain = _PLAIN.fullmatch(url)
    if plain and not plain[2] and not _DOTTED.search(url):
        host = netloc = plain[1]
    else:
        url, host, netloc = _normalise(url)
    if host in own_hosts or netloc in own_hosts:
        raise _bad_url("it leads back to us")
    if blocked and is_blocked(host, blocked):
        raise _bad_url(f"{host} is on the list of blocked domains")
    return url


def _normalise(url: str) -> tuple[str, str, str]:
    if any(ord(character) < 33 or ord(character) == 127 for character in url.replace(" ", "")):
        raise _bad_url("it has control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
        name = parts.hostname or ""
    except ValueError as error:
        raise _bad_url("its host can't be read") from error
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise _bad_url("only http:// and https:// addresses can be shortened")
    if "@" in parts.netloc:
        raise _bad_url("a name or password before the host misleads people")
    if "\\" in parts.netloc or port == 0:
        raise _bad_url("its host can't be read")
    host = _normal_host(name)
    netloc = host if port is None or port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"
    path = _without_dots(_escaped(parts.path, _SAFE_PATH)) or "/"
    normal = urlunsplit(
        (scheme, netloc, path, _escaped(parts.query, _SAFE_QUERY), _escaped(parts.fragment, _SAFE_QUERY))
    )
    if len(normal) > MAX_URL:
        raise _bad_url(f"longer than {MAX_URL} characters once it is escaped")
    return normal, host, netloc


def _normal_host(name: str) -> str:
    if ":" in name:
        try:
            return f"[{ipaddress.IPv6Address(name).compressed}]"
        except ValueError as error:
            raise _bad_url("its host can't be read") from error
    name = name.rstrip(".").lower()
    try:
        host = name if name.isascii() and _HOSTNAME.fullmatch(name) else idna.encode(name, uts46=True).decode()
    except (idna.IDNAError, UnicodeError) as error:
        raise _bad_url("its host isn't a name that can exist") from error
    last = host.rpartition(".")[2]
    if last.isdigit() or last.startswith("0x"):  # what a browser reads as an IPv4 address, in all its disguises
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError as error:
            raise _bad_url("its host isn't an address that can exist") from error
    if "." not in host and host != "localhost":
        raise _bad_url("its host has no domain")
    return host


_HOSTNAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")


def _escaped(part: str, safe: str) -> str:
    part = _ESCAPE.sub("%25", part)
    return _ESCAPED.sub(lambda found: found[0].upper(), quote(part, safe=safe))


def _without_dots(path: str) -> str:
    """Remove `.` and `..` segments (RFC 3986, 5.2.4), escaped ones too, as browsers do."""
    if "." not in path and "%2E" not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")
    for index, segment in enumerate(segments):
        plain = segment.replace("%2E", ".")
        if plain not in (".", ".."):
            kept.append(segment)
            continue
        if plain == ".." and len(kept) > 1:
            kept.pop()
        if index == len(segments) - 1:
            kept.append("")
    return "/".join(kept)


def _bad_url(reason: str) -> BadLink:
    return BadLink(reason=f"url: {reason}", fields={"url": reason})


def is_blocked(host: str, blocked: Collection[str]) -> bool:
    """Whether a host or a domain above it is in the collection."""
    while host:
        if host in blocked:
            return True
        host = host.partition(".")[2]
    return False


# --- states ---------------------------------------------------------------------------------------------------------


def state_of(link: StoredLink, now: datetime) -> State:
    """A link that is disabled says so first; one that ended says why."""
    if not link.enabled:
        return "disabled"
    if link.expires_at is not None and link.expires_at <= now:
        return "expired"
    if link.clicks_left is not None and link.clicks_left <= 0:
        return "exhausted"
    return "active"


def hides_target(link: StoredLink, account_id: int | None) -> bool:
    """Where a guarded link leads is for its owner, and for those who follow it: else looking would be a way around
    the password, and around the number of clicks. A guarded link without an owner hides it from everybody.
    """
    guarded = link.password is not None or link.max_clicks is not None
    return guarded and (link.owner_id is None or link.owner_id != account_id)


def may_see(link: StoredLink, account_id: int | None) -> bool:
    """A link without an owner belongs to whoever knows its code: they may look, but not change it."""
    return link.owner_id is None or link.owner_id == account_id


#: No link is given an end beyond this: as far as `ttl` reaches, and where every calendar can still follow.
FARTHEST_END = timedelta(days=100 * 366)


def expiry(now: datetime, expires_at: datetime | None, ttl: int | None) -> datetime | None:
    """When a new link ends. Raises BadLink when that is past, too far away, or said twice."""
    if expires_at is not None and ttl is not None:
        raise BadLink(reason="two ends", fields={"ttl": "give either ttl or expires_at"})
    if ttl is not None:
        return now + timedelta(seconds=ttl)
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        expires_at = expires_at.replace(tzinfo=UTC)
    if expires_at <= now:
        raise BadLink(reason="its end has passed", fields={"expires_at": "lies in the past"})
    if expires_at > now + FARTHEST_END:
        raise BadLink(reason="its end is too far away", fields={"expires_at": "lies more than 100 years ahead"})
    return expires_at


def clicks_left(max_clicks: int | None, before: StoredLink) -> int | None:
    """What remains when the maximum changes: the clicks already taken stay taken."""
    if max_clicks is None:
        return None
    taken = (before.max_clicks or 0) - (before.clicks_left or 0)
    return max(0, max_clicks - taken)


# --- clicks ---------------------------------------------------------------------------------------------------------

#: The pseudo-codes of the rollups; none can be a link's.
ALL = "*"
UNKNOWN = "?"
OTHERS = "~"
TOTAL = ""
DIMENSIONS = ("country", "referrer", "device", "browser", "system")


def of_owner(owner_id: int) -> str:
    return f"@{owner_id}"


class Seen(msgspec.Struct, frozen=True):
    """A click, described: who clicked, as far as a rollup wants to know."""

    code: str
    at: datetime
    owner_id: int
    """0: the link has no owner."""
    visitor: int
    bot: bool
    values: tuple[str, str, str, str, str]
    """In the order of DIMENSIONS."""
    known: bool = True
    """False: the code leads nowhere."""


class Row(msgspec.Struct):
    """What is to be added to one row of links.hourly."""

    clicks: int = 0
    visitors: int = 0
    bots: int = 0


HOUR = timedelta(hours=1)

type RowKey = tuple[str, datetime, str, str]


def hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def first_visits(clicks: Iterable[Seen]) -> dict[tuple[str, date, int], Seen]:
    """Each visitor's first click on a link and day, in the order of the clicks. Bots visit nothing."""
    first: dict[tuple[str, date, int], Seen] = {}
    for click in clicks:
        if click.known and not click.bot:
            first.setdefault((click.code, click.at.date(), click.visitor), click)
    return first


def rollup(
    clicks: Iterable[Seen],
    new_visits: Iterable[Seen],
    admit: Callable[[str, datetime, str, str], bool] = lambda *_: True,
) -> dict[RowKey, Row]:
    """Add clicks up by link and hour, in all and by each dimension's values; also by owner and over everything.

    People's clicks and bots' are apart, and only people's are broken down. `new_visits` are those of `first_visits`
    that were not known before. `admit(code, hour, dimension, value)` says whether a value gets a row of its own or
    counts among OTHERS: a stranger chooses referrers, and must not choose how many rows there are.
    """
    rows: dict[RowKey, Row] = {}

    def row(code: str, at: datetime, dimension: str = TOTAL, value: str = "") -> Row:
        key = code, at, dimension, value
        found = rows.get(key)
        if found is None:
            found = rows[key] = Row()
        return found

    def totals(click: Seen, at: datetime) -> Iterable[Row]:
        yield row(click.code, at)
        if click.owner_id:
            yield row(of_owner(click.owner_id), at)
        yield row(ALL, at)

    at = until = datetime.min.replace(tzinfo=UTC)
    for click in clicks:
        if not at <= click.at < until:  # most clicks of a batch are of one hour
            at = hour_of(click.at)
            until = at + HOUR
        if not click.known:
            orphan = row(UNKNOWN, at)
            orphan.clicks += not click.bot
            orphan.bots += click.bot
            kept = click.code if admit(UNKNOWN, at, "code", click.code) else OTHERS
            row(UNKNOWN, at, "code", kept).clicks += 1
        elif click.bot:
            for total in totals(click, at):
                total.bots += 1
        else:
            for total in totals(click, at):
                total.clicks += 1
            for dimension, value in zip(DIMENSIONS, click.values, strict=True):
                kept = value if admit(click.code, at, dimension, value) else OTHERS
                row(click.code, at, dimension, kept).clicks += 1
    for click in new_visits:
        for total in totals(click, hour_of(click.at)):
            total.visitors += 1
    return rows


class ValueLimit:
    """Admits the first so many values of a link, hour and dimension, and forgets hours long past.

    Each process limits by itself and starts anew, so the bound is approximate; that there is one is what counts.
    """

    def __init__(self, per_hour: int, *, remembered: int = 200_000) -> None:
        self._per_hour = per_hour
        self._remembered = remembered
        self._values: dict[tuple[str, datetime, str], set[str]] = {}

    def admit(self, code: str, at: datetime, dimension: str, value: str) -> bool:
        values = self._values.setdefault((code, at, dimension), set())
        if value in values:
            return True
        if len(values) >= self._per_hour:
            return False
        values.add(value)
        if len(self._values) > self._remembered:
            self._values.pop(next(iter(self._values)))
        return True


# --- statistics -----------------------------------------------------------------------------------------------------

PERIODS: Mapping[Period, tuple[timedelta, timedelta]] = {
    "24h": (timedelta(hours=24), timedelta(hours=1)),
    "7d": (timedelta(days=7), timedelta(days=1)),
    "30d": (timedelta(days=30), timedelta(days=1)),
    "90d": (timedelta(days=90), timedelta(days=1)),
}


def buckets_of(period: Period, now: datetime) -> list[Bucket]:
    """The hours or days of a period, oldest first; the last one is the running one."""
    length, step = PERIODS[period]
    last = hour_of(now) if step < timedelta(days=1) else hour_of(now).replace(hour=0)
    count = int(length / step)
    return [Bucket(last - step * (count - 1 - index)) for index in range(count)]


def filled(buckets: Sequence[Bucket], counted: Iterable[Bucket]) -> list[Bucket]:
    """Put counts into the buckets they belong to; an empty bucket stays empty rather than absent."""
    by_start = {bucket.at: bucket for bucket in buckets}
    step = buckets[1].at - buckets[0].at
    for count in counted:
        start = hour_of(count.at) if step < timedelta(days=1) else hour_of(count.at).replace(hour=0)
        if bucket := by_start.get(start):
            bucket.clicks += count.clicks
            bucket.visitors += count.visitors
            bucket.bots += count.bots
    return list(buckets)


def top(counts: Counter[str], most: int = 10) -> list[tuple[str, int]]:
    """The largest counts; what falls off the end is added up under OTHERS."""
    ranked = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    kept = [row for row in ranked if row[0] != OTHERS][:most]
    rest = sum(counts.values()) - sum(count for _, count in kept)
    return [*kept, (OTHERS, rest)] if rest else kept
