"""Rate limits: the algorithm against plain arithmetic, and what a caller is told."""

import asyncio
import itertools
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenfold.platform import limits as module
from tenfold.platform.engines import Valkey
from tenfold.platform.errors import TooManyRequests
from tenfold.platform.hot import TRIES, Hot, Script, open_hot
from tenfold.platform.limits import GCRA, Limit, Limits, Rate, TooMuchAtOnce, network
from tenfold.platform.settings import BadSettings, Secret, Settings
from tenfold.platform.testing import Engines

CALLERS = (f"caller{number}" for number in itertools.count())
CREATE = Limit("links.create", {"anonymous": Rate(10, per=3600), "free": "20/hour", "plus": Rate(100, per=60, burst=5)})
READ = Limit("links.read", {"anonymous": "3/hour"})


@dataclass(frozen=True)
class Somebody:
    account_id: int | None = None
    tier: str = "anonymous"


@pytest.fixture(scope="module")
async def hot(engines: Engines) -> AsyncIterator[Hot]:
    hot = await open_hot(engines.settings(), f"test{secrets.token_hex(4)}")
    yield hot
    await hot.close()


@pytest.fixture
def limits(hot: Hot) -> Limits:
    return Limits(hot, Settings())


@pytest.fixture
def caller() -> str:
    return next(CALLERS)


class Bucket:
    """A token bucket in fractions, filled continuously: what the algorithm must equal."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.tokens = Fraction(rate.burst)
        self.now = 0

    def take(self, now: int, cost: int) -> bool:
        grown = Fraction(now - self.now, self.rate.interval)
        self.tokens, self.now = min(Fraction(self.rate.burst), self.tokens + grown), now
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True


# Seconds and more between takes, since the real server expires buckets by its own clock.
RATES = st.builds(
    Rate, count=st.integers(1, 50), per=st.sampled_from([3600.0, 86_400.0, 10_000.7]), burst=st.integers(0, 60)
)
STEPS = st.lists(st.tuples(st.integers(0, 5_000_000_000), st.integers(0, 8)), max_size=40)


@hypothesis_settings(max_examples=100, deadline=None)
@given(rate=RATES, steps=STEPS)
async def test_the_script_equals_a_token_bucket(hot: Hot, rate: Rate, steps: list[tuple[int, int]]):
    script = Script(f"local now = tonumber(ARGV[#ARGV])\n{GCRA}")
    key, model, now = hot.key("gcra", next(CALLERS)), Bucket(rate), 1_790_000_000_000_000
    model.now = now
    for pause, cost in steps:
        now += pause
        level, room = await hot.run(script, [key], [str(rate.interval * cost), str(rate.capacity), str(now)])
        assert bool(room) == model.take(now, cost)
        assert module.Bucket("x", rate, level).remaining == int(model.tokens)


@given(rate=RATES, steps=STEPS)
def test_limiting_without_valkey_equals_a_token_bucket(rate: Rate, steps: list[tuple[int, int]]):
    clock = pytest.MonkeyPatch()
    buckets, model, now = Limits(None, Settings()), Bucket(rate), 10**12  # type: ignore[arg-type]
    model.now = now
    for pause, cost in steps:
        now += pause
        clock.setattr("time.monotonic_ns", lambda now=now: now * 1000)
        (level,), room = buckets._take_here(["key"], [rate.interval * cost], [rate.capacity])
        clock.undo()
        assert room == model.take(now, cost)
        assert module.Bucket("x", rate, level).remaining == int(model.tokens)


async def test_a_crowd_gets_exactly_the_burst(hot: Hot, caller: str):
    processes = [Limits(hot, Settings()) for _ in range(4)]
    taken = await asyncio.gather(*(processes[n % 4].take(CREATE, caller) for n in range(200)), return_exceptions=True)
    refused = [each for each in taken if isinstance(each, TooManyRequests)]
    assert (len(taken) - len(refused), len(refused)) == (10, 190)
    assert sum(process.refused for process in processes) == 190


async def test_a_caller_is_told_what_is_left(limits: Limits, caller: str):
    taken = await limits.take(CREATE, caller, cost=4)
    assert taken.headers["RateLimit-Policy"] == '"links.create";q=10;w=3600'
    assert re.fullmatch(r'"links.create";r=6;t=3[0-6]\d', taken.headers["RateLimit"])
    with pytest.raises(TooManyRequests) as error:
        await limits.take(CREATE, caller, cost=8)
    headers = error.value.headers
    assert headers["RateLimit-Policy"] == taken.headers["RateLimit-Policy"]
    assert re.fullmatch(r'"links.create";r=6;t=3[0-6]\d', headers["RateLimit"]), "nothing was taken"
    assert 600 <= int(headers["Retry-After"]) <= 720
    assert error.value.values["retry_after"] == int(headers["Retry-After"])
    assert (await limits.take(CREATE, caller, cost=6)).headers["RateLimit"].startswith('"links.create";r=0;t=3')


async def test_a_full_bucket_promises_no_more(limits: Limits, caller: str):
    assert (await limits.take(CREATE, caller, cost=0)).headers["RateLimit"] == '"links.create";r=10'


async def test_more_than_ever_fits_is_another_error(limits: Limits, caller: str):
    with pytest.raises(TooMuchAtOnce, match="asks for 11 at once, and at most 10") as error:
        await limits.take(CREATE, caller, cost=11)
    assert error.value.status == 422
    assert (await limits.take(CREATE, caller)).buckets[0].remaining == 9


async def test_several_limits_take_all_or_nothing(limits: Limits, caller: str):
    for left in (2, 1, 0):
        taken = await limits.take([CREATE, READ], caller)
        assert [bucket.remaining for bucket in taken.buckets] == [left + 7, left]
    with pytest.raises(TooManyRequests) as error:
        await limits.take([CREATE, READ], caller)
    assert error.value.headers["RateLimit-Policy"] == '"links.create";q=10;w=3600, "links.read";q=3;w=3600'
    assert (await limits.take(CREATE, caller)).buckets[0].remaining == 6


async def test_buckets_belong_to_an_account_or_an_address(limits: Limits):
    async def left(who: Somebody | str, ip: str | None = None) -> int:
        return (await limits.take(CREATE, who, ip=ip)).buckets[0].remaining

    account = int.from_bytes(secrets.token_bytes(6))
    assert [await left(Somebody(account, "free"), ip) for ip in ("10.0.0.1", "10.0.0.2")] == [19, 18]
    assert await left(Somebody(account + 1, "free"), "10.0.0.1") == 19
    assert await left(Somebody(account + 2, "plus"), "10.0.0.1") == 4
    assert await left(Somebody(account + 3, "enterprise"), "10.0.0.1") == 9, "not named: as a stranger"
    assert [await left(Somebody(), ip) for ip in ("10.0.0.1", "10.0.0.1", "10.0.0.2")] == [9, 8, 9]
    home = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::", "2001:db8:1:3::1"]
    assert [await left(Somebody(), ip) for ip in home] == [9, 8, 9]
    assert await left("2001:db8:1:2::7") == 7, "a key that is an address stands for its network"
    with pytest.raises(ValueError, match="none is given"):
        await left(Somebody())


@pytest.mark.parametrize(
    ("address", "stands_for"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("somebody", "somebody"),
        ("", ""),
    ],
)
def test_whom_an_address_stands_for(address: str, stands_for: str):
    assert network(address) == stands_for


@given(st.text(max_size=300))
def test_any_key_is_made_safe(key: str):
    caller, _ = module._caller(key, None)
    assert len(caller) <= 110
    assert not set(caller) & set("{}\r\n \0")


async def test_strange_keys_have_buckets_of_their_own(limits: Limits):
    odd = [f"}}x{secrets.token_hex(4)}", "x" * 5_000 + secrets.token_hex(4), f"\udc80 {secrets.token_hex(4)}"]
    for key in odd:
        assert [(await limits.take(CREATE, key)).buckets[0].remaining for _ in range(2)] == [9, 8]


async def test_buckets_expire_when_they_are_full_again(limits: Limits, hot: Hot, caller: str):
    await limits.take(CREATE, caller, cost=2)
    key = hot.key("limit", f"{{key/{caller}}}", "links.create")
    assert 700_000 < await hot.client.pttl(key) <= 720_000


async def test_time_gives_back(limits: Limits, caller: str):
    quick = Limit("quick", {"anonymous": "20/s burst 1"})
    await limits.take(quick, caller)
    with pytest.raises(TooManyRequests) as error:
        await limits.take(quick, caller)
    assert error.value.headers["Retry-After"] == "1"
    async with asyncio.timeout(20):
        while True:
            try:
                await limits.take(quick, caller)
                break
            except TooManyRequests:
                await asyncio.sleep(0.01)


async def test_settings_replace_rates(hot: Hot, caller: str):
    limits = Limits(hot, Settings(limits={"links.create.free": "7/hour", "links.read": "2/day burst 4"}))
    account = Somebody(int.from_bytes(secrets.token_bytes(6)), "free")
    taken = await limits.take([CREATE, READ], account)
    assert [bucket.remaining for bucket in taken.buckets] == [6, 3]
    assert (await limits.take(CREATE, caller)).buckets[0].remaining == 9
    with pytest.raises(BadSettings, match="'often' is no rate"):
        Limits(hot, Settings(limits={"links.create": "often"}))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/minute", Rate(10, per=60)),
        ("5/10s", Rate(5, per=10)),
        (" 100 / hours burst 20", Rate(100, per=3600, burst=20)),
        ("1000/2 days", Rate(1000, per=172_800)),
    ],
)
def test_rates_are_read(text: str, rate: Rate):
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "10", "10/fortnight", "-1/s", "0/s", "10/0s", "2000000/s", "1/minute burst"])
def test_rates_that_make_no_sense(text: str):
    with pytest.raises(ValueError, match="rate"):
        Rate.parse(text)


@pytest.mark.parametrize(
    ("name", "rates"), [('a"b', {"anonymous": "1/s"}), ("a", {}), ("a", {"anonymous": "1/s", "gold": "1/s"})]
)
def test_limits_that_make_no_sense(name: str, rates: dict[str, Rate | str]):
    with pytest.raises(ValueError, match="limit"):
        Limit(name, rates)


@pytest.fixture
async def own_valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    """A server of one's own, to be stopped."""
    valkey = Valkey(tmp_path / "valkey", secrets.token_urlsafe(12))
    await valkey.start()
    yield valkey
    await valkey.stop()


async def test_without_valkey_each_process_limits_by_itself(own_valkey: Valkey, monkeypatch: pytest.MonkeyPatch):
    hot = await open_hot(Settings(valkey_url=Secret(own_valkey.url)), "test")
    limits = Limits(hot, Settings())
    await limits.take(CREATE, "somebody", cost=10)
    await own_valkey.stop()
    taken = [(await limits.take([CREATE, READ], "somebody")).buckets[1].remaining for _ in range(TRIES)]
    assert (taken, limits.unshared) == ([2, 1, 0], TRIES)
    with pytest.raises(TooManyRequests):
        await limits.take([CREATE, READ], "somebody")
    assert (await limits.take(CREATE, "somebody")).buckets[0].remaining == 6
    monkeypatch.setattr(module, "HERE", 5)
    for n in range(20):
        await limits.take(CREATE, f"guest{n}")
    assert len(limits._here) == 5
    await hot.close()
