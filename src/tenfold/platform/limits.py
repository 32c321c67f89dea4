"""Rate limits that all processes share: GCRA, atomic in Valkey, by account or address and by what is asked for."""

import hashlib
import math
import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Protocol, Self

from tenfold.platform.errors import Invalid, TooManyRequests, Unavailable
from tenfold.platform.hot import Hot, Script
from tenfold.platform.settings import BadSettings, Settings

TIERS = frozenset({"anonymous", "free", "plus", "enterprise"})
#: Buckets that a process keeps while Valkey is away. The oldest make room.
HERE = 10_000

_SECONDS = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86_400, "day": 86_400}
_RATE = re.compile(rf"(\d+) */ *(\d*) *({'|'.join(_SECONDS)})s?(?: +burst +(\d+))?")
_NAME = re.compile(r"[a-z0-9_.-]+")
_PLAIN = re.compile(r"[A-Za-z0-9_.:@/-]{1,100}")

# The generic cell rate algorithm (ITU-T I.371, annex A: virtual scheduling). A bucket is one number: the time at which
# it will be empty. Its level is how far ahead that is; taking something raises the level, and must not raise it above
# the capacity. Everything is in whole microseconds, exact in Lua's doubles, by the server's clock. With several
# buckets, all have room or nothing is taken.
CLOCK = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
"""
GCRA = """
local levels, room = {}, 1
for i, key in ipairs(KEYS) do
  levels[i] = math.max((tonumber(redis.call('GET', key)) or now) - now, 0)
  if levels[i] + tonumber(ARGV[2 * i - 1]) > tonumber(ARGV[2 * i]) then room = 0 end
end
if room == 1 then
  for i, key in ipairs(KEYS) do
    levels[i] = levels[i] + tonumber(ARGV[2 * i - 1])
    if levels[i] > 0 then
      redis.call('SET', key, string.format('%.0f', now + levels[i]), 'PX', math.ceil(levels[i] / 1000))
    end
  end
end
levels[#levels + 1] = room
return levels
"""


class TooMuchAtOnce(Invalid):
    """This asks for {cost} at once, and at most {burst} are allowed here."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` in `per` seconds, and up to `burst` at once (as many as `count`, unless it is said)."""

    count: int
    per: float
    burst: int = 0
    #: Microseconds that one unit fills, and that a bucket holds.
    interval: int = field(init=False, repr=False)
    capacity: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.count <= self.per * 1_000_000 or self.burst < 0:
            raise ValueError(f"a rate is at least one and at most a million a second, not {self.count} in {self.per} s")
        object.__setattr__(self, "burst", self.burst or self.count)
        object.__setattr__(self, "interval", round(self.per * 1_000_000 / self.count))
        object.__setattr__(self, "capacity", self.interval * self.burst)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "10/minute", "5/10s", "100/hour burst 20". Raises ValueError."""
        found = _RATE.fullmatch(text.strip())
        if not found:
            raise ValueError(f"{text!r} is no rate; write it like 10/minute, 5/10s or 100/hour burst 20")
        count, number, unit, burst = found.groups()
        return cls(int(count), int(number or 1) * _SECONDS[unit], int(burst or 0))


@dataclass(frozen=True)
class Limit:
    """What is limited, and how much each tier may. A tier that isn't named may what a stranger may.

    The setting `limits` replaces a rate by "{name}.{tier}", or all of them by "{name}".
    """

    name: str
    rates: Mapping[str, Rate | str]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or "anonymous" not in self.rates or not TIERS.issuperset(self.rates):
            raise ValueError(f"limit {self.name!r} needs a rate for anonymous, and only tiers beside it")
        rates = {tier: Rate.parse(rate) if isinstance(rate, str) else rate for tier, rate in self.rates.items()}
        object.__setattr__(self, "rates", rates)


class Principal(Protocol):
    """Who asks: see `platform.identity`."""

    @property
    def account_id(self) -> int | None: ...
    @property
    def tier(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit of one caller, and its level in microseconds."""

    limit: str
    rate: Rate
    level: int

    @property
    def remaining(self) -> int:
        return max(0, (self.rate.capacity - self.level) // self.rate.interval)

    @property
    def policy(self) -> str:
        return f'"{self.limit}";q={self.rate.burst};w={math.ceil(self.rate.capacity / 1_000_000)}'

    @property
    def state(self) -> str:
        """What remains, and in how many seconds there is more."""
        more = self.level + (self.remaining + 1) * self.rate.interval - self.rate.capacity
        return f'"{self.limit}";r={self.remaining}' + (f";t={math.ceil(more / 1_000_000)}" if self.level else "")


@dataclass(frozen=True, slots=True)
class Taken:
    """What a caller has left after taking."""

    buckets: Sequence[Bucket]

    @property
    def headers(self) -> dict[str, str]:
        """RateLimit fields as in draft-ietf-httpapi-ratelimit-headers-11, the window being the time to refill."""
        return {
            "RateLimit-Policy": ", ".join(bucket.policy for bucket in self.buckets),
            "RateLimit": ", ".join(bucket.state for bucket in self.buckets),
        }


class Limits:
    """Takes from the buckets in Valkey.

    While Valkey is away each process limits by itself, beginning with empty buckets: so many processes allow so many
    times as much, which is better than turning everybody away, and better than no limit at all.
    """

    def __init__(self, hot: Hot, settings: Settings) -> None:
        """Raises BadSettings for a rate in the settings that can't be read."""
        self.refused = 0
        self.unshared = 0
        self._hot = hot
        self._script = Script(CLOCK + GCRA)
        self._here: OrderedDict[str, int] = OrderedDict()
        try:
            self._overrides = {name: Rate.parse(text) for name, text in settings.limits.items()}
        except ValueError as error:
            raise BadSettings(reason=f"limits: {error}") from error

    async def take(
        self, limits: Limit | Sequence[Limit], who: Principal | str, *, cost: int = 1, ip: str | None = None
    ) -> Taken:
        """Take `cost` from each limit, or from none, in one round trip. `who` is an account, a stranger known by `ip`
        only, or any key (an address stands for its network).

        Raises TooManyRequests when there isn't enough left, TooMuchAtOnce when there never will be.
        """
        wanted = (limits,) if isinstance(limits, Limit) else limits
        caller, tier = _caller(who, ip)
        rates = [self._rate(limit, tier) for limit in wanted]
        for rate in rates:
            if cost > rate.burst:
                raise TooMuchAtOnce(cost=cost, burst=rate.burst)
        keys = [self._hot.key("limit", f"{{{caller}}}", limit.name) for limit in wanted]
        amounts = [rate.interval * cost for rate in rates]
        try:
            args = [str(number) for pair in zip(amounts, rates, strict=True) for number in (pair[0], pair[1].capacity)]
            *levels, room = await self._hot.run(self._script, keys, args)
        except Unavailable:
            self.unshared += 1
            levels, room = self._take_here(keys, amounts, [rate.capacity for rate in rates])
        taken = Taken([Bucket(*each) for each in zip([limit.name for limit in wanted], rates, levels, strict=True)])
        if not room:
            self.refused += 1
            rows = zip(levels, amounts, rates, strict=True)
            over = max(level + amount - rate.capacity for level, amount, rate in rows)
            raise TooManyRequests(retry_after=math.ceil(over / 1_000_000), headers=taken.headers)
        return taken

    def _rate(self, limit: Limit, tier: str) -> Rate:
        override = self._overrides.get(f"{limit.name}.{tier}") or self._overrides.get(limit.name)
        return override or limit.rates.get(tier) or limit.rates["anonymous"]  # type: ignore[return-value]

    def _take_here(
        self, keys: Sequence[str], amounts: Sequence[int], capacities: Sequence[int]
    ) -> tuple[list[int], bool]:
        now = time.monotonic_ns() // 1000
        levels = [max(self._here.get(key, now) - now, 0) for key in keys]
        room = all(level + amount <= most for level, amount, most in zip(levels, amounts, capacities, strict=True))
        if room:
            levels = [level + amount for level, amount in zip(levels, amounts, strict=True)]
            for key, level in zip(keys, levels, strict=True):
                self._here[key] = now + level
                self._here.move_to_end(key)
            while len(self._here) > HERE:
                self._here.popitem(last=False)
        return levels, room


def network(address: str) -> str:
    """Whom an address stands for: itself, or with IPv6 the /64 that one subscriber has. What is no address stays."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"


def _caller(who: Principal | str, ip: str | None) -> tuple[str, str]:
    """Whose bucket it is, in characters that are safe in a key, and the tier."""
    if isinstance(who, str):
        tier, key = "anonymous", network(who)
    elif who.account_id is not None:
        return f"account/{who.account_id}", who.tier
    elif ip is not None:
        tier, key = who.tier, network(ip)
    else:
        raise ValueError("a stranger is limited by address, and none is given")
    if not _PLAIN.fullmatch(key):
        key = hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return f"key/{key}", tier
