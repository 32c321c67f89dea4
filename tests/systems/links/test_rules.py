"""Codes, addresses, states and sums of clicks: the decisions of the link shortener."""

import contextlib
import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenfold.systems.links import rules
from tenfold.systems.links.errors import BadLink
from tenfold.systems.links.types import Bucket, StoredLink

SCRAMBLER = rules.Scrambler(b"a key of thirty-two bytes, surel")
NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
numbers = st.integers(0, rules.CODES - 1)


@given(numbers)
@example(0)
@example(rules.CODES - 1)
@example(rules.FIRST_NUMBER)
def test_a_code_leads_back_to_its_number(number: int) -> None:
    code = SCRAMBLER.code(number)
    assert rules.CODE.fullmatch(code)
    assert len(code) == 7
    assert SCRAMBLER.number(code) == number


def test_neighbours_share_no_more_digits_than_strangers() -> None:
    codes = [SCRAMBLER.code(number) for number in range(rules.FIRST_NUMBER, rules.FIRST_NUMBER + 20_000)]
    assert len(set(codes)) == len(codes)
    same = sum(a == b for one, two in itertools.pairwise(codes) for a, b in zip(one, two, strict=True))
    # Two random codes agree in a digit once in 62. Five standard deviations around 20,000 x 7 / 62.
    assert 2020 < same < 2500
    for place in range(7):  # each digit is as frequent as the others at each place
        frequencies = Counter(code[place] for code in codes)
        assert len(frequencies) == 62
        assert max(frequencies.values()) < 2 * min(frequencies.values())


@given(numbers)
def test_another_key_makes_another_code(number: int) -> None:
    other = rules.Scrambler(b"another key of thirty-two bytes!")
    assert [SCRAMBLER.code(n % rules.CODES) for n in range(number, number + 3)] != [
        other.code(n % rules.CODES) for n in range(number, number + 3)
    ]


@pytest.mark.parametrize("number", [-1, rules.CODES])
def test_a_number_outside_has_no_code(number: int) -> None:
    with pytest.raises(ValueError, match="no code"):
        SCRAMBLER.code(number)


@pytest.mark.parametrize("code", ["", "abc", "abcdefgh", "abc-def", "abcdéfg"])
def test_what_is_no_code_has_no_number(code: str) -> None:
    with pytest.raises(ValueError, match="is not a code"):
        SCRAMBLER.number(code)


@given(st.integers(0, 2**63))
def test_base62_both_ways(number: int) -> None:
    assert rules.base62_decode(rules.base62_encode(number)) == number
    assert len(rules.base62_encode(number, 7)) >= 7


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://example.org", "https://example.org/"),
        ("  HTTPS://EXAMPLE.org:443/A?b=C#d \n", "https://example.org/A?b=C#d"),
        ("http://example.org:80/", "http://example.org/"),
        ("http://example.org:8080/", "http://example.org:8080/"),
        ("http://example.org./x", "http://example.org/x"),
        ("https://bücher.example/ä ö?ü=1", "https://xn--bcher-kva.example/%C3%A4%20%C3%B6?%C3%BC=1"),
        ("https://example.org/%7euser/%zz", "https://example.org/%7Euser/%25zz"),
        ("https://example.org/a/./b/../c", "https://example.org/a/c"),
        ("https://example.org/a/%2e%2E/c", "https://example.org/c"),
        ("https://example.org/..", "https://example.org/"),
        ("http://localhost:3000/x", "http://localhost:3000/x"),
        ("http://[2001:DB8::1]/", "http://[2001:db8::1]/"),
    ],
)
def test_addresses_are_written_one_way(url: str, normal: str) -> None:
    assert rules.normal_url(url) == normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "//example.org/",
        "ftp://example.org/",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://",
        "https:///path",
        "https://user:word@example.org/",
        "https://bank.example@evil.example/",
        "https://exa mple.org/",
        "https://exa\nmple.org/",
        "https://-.org/",
        "https://intranet/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://127.1/",
        "https://example.org:99999/",
        "https://example.org:0/",
        "https://example.org\\@evil.example/",
        "https://example.org/\x00",
        "https://[::1/",
        "https://example.org/" + "a" * 8192,
        "https://example.org/" + "ä" * 4000,
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(BadLink) as caught:
        rules.normal_url(url)
    assert "url" in caught.value.fields


hosts = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,4})?\.(org|example|de)", fullmatch=True)


@given(
    st.builds(
        "{}://{}{}/{}?{}#{}".format,
        st.sampled_from(["http", "https", "HTTP", "Https"]),
        hosts,
        st.sampled_from(["", ":80", ":443", ":8080"]),
        st.text(max_size=40),
        st.text(max_size=20),
        st.text(max_size=10),
    )
)
def test_normalising_twice_changes_nothing(url: str) -> None:
    try:
        normal = rules.normal_url(url)
    except BadLink:
        return
    assert rules.normal_url(normal) == normal
    assert normal.isascii()
    assert " " not in normal
    assert urlsplit(normal).hostname


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    with contextlib.suppress(BadLink):
        assert rules.normal_url(text).startswith(("http://", "https://"))


def test_own_hosts_and_blocked_domains_are_refused() -> None:
    own = {"short.example", "localhost:8080"}
    for url in ("https://short.example/x", "http://SHORT.example/", "http://localhost:8080/links/x"):
        with pytest.raises(BadLink, match="back to us"):
            rules.normal_url(url, own_hosts=own)
    assert rules.normal_url("http://localhost:3000/", own_hosts=own)
    for url in ("https://evil.example/", "https://a.b.evil.example/x"):
        with pytest.raises(BadLink, match="blocked"):
            rules.normal_url(url, blocked={"evil.example"})
    assert rules.normal_url("https://notevil.example/", blocked={"evil.example"})


@pytest.mark.parametrize("alias", ["ab", "a" * 65, "with space", "ümlaut", "a/b", "api", "API", "Static", "a.b"])
def test_aliases_that_can_not_be(alias: str) -> None:
    with pytest.raises(BadLink):
        rules.checked_alias(alias)


@given(st.from_regex(rules.CODE, fullmatch=True).filter(lambda alias: alias.lower() not in rules.RESERVED))
def test_aliases_that_can_be(alias: str) -> None:
    assert rules.checked_alias(alias) == alias


def link(**fields: object) -> StoredLink:
    return StoredLink(code="abc", id=1, owner_id=7, url="https://example.org/", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "active"),
        ({"expires_at": NOW}, "expired"),
        ({"expires_at": NOW + timedelta(seconds=1)}, "active"),
        ({"max_clicks": 3, "clicks_left": 0}, "exhausted"),
        ({"max_clicks": 3, "clicks_left": 1}, "active"),
        ({"enabled": False, "expires_at": NOW}, "disabled"),
    ],
)
def test_states(fields: dict[str, object], state: str) -> None:
    assert rules.state_of(link(**fields), NOW) == state


def test_the_end_of_a_link() -> None:
    assert rules.expiry(NOW, None, None) is None
    assert rules.expiry(NOW, None, 60) == NOW + timedelta(seconds=60)
    assert rules.expiry(NOW, datetime(2026, 3, 2), None) == datetime(2026, 3, 2, tzinfo=UTC)  # noqa: DTZ001
    for expires_at, ttl in ((NOW, None), (NOW - timedelta(days=1), None), (NOW + timedelta(days=1), 60)):
        with pytest.raises(BadLink):
            rules.expiry(NOW, expires_at, ttl)


def test_a_new_maximum_keeps_what_was_taken() -> None:
    before = link(max_clicks=10, clicks_left=4)
    assert rules.clicks_left(None, before) is None
    assert rules.clicks_left(12, before) == 6
    assert rules.clicks_left(5, before) == 0


clicks = st.builds(
    rules.Seen,
    code=st.sampled_from(["one", "two"]),
    at=st.datetimes(datetime(2026, 3, 1), datetime(2026, 3, 3), timezones=st.just(UTC)),  # noqa: DTZ001
    owner_id=st.sampled_from([0, 7]),
    visitor=st.integers(0, 3),
    bot=st.booleans(),
    values=st.tuples(*[st.sampled_from(["", "x", "y"])] * 5),
    known=st.booleans(),
)


@given(st.lists(clicks, max_size=60), st.integers(0, 60))
def test_however_clicks_are_batched_they_add_up_to_the_same(seen: list[rules.Seen], cut: int) -> None:
    def total(batches: list[list[rules.Seen]]) -> dict[rules.RowKey, tuple[int, int, int]]:
        known: set[object] = set()
        sums: Counter[tuple[rules.RowKey, str]] = Counter()
        for batch in batches:
            first = rules.first_visits(batch)
            new = [click for key, click in first.items() if key not in known]
            known |= first.keys()
            for key, row in rules.rollup(batch, new).items():
                for name in ("clicks", "visitors", "bots"):
                    sums[key, name] += getattr(row, name)
        keys = {key for key, _ in sums}
        return {key: (sums[key, "clicks"], sums[key, "visitors"], sums[key, "bots"]) for key in keys}

    whole = total([seen])
    parts = total([seen[:cut], seen[cut:]])
    assert {key: row for key, row in whole.items() if any(row)} == {key: row for key, row in parts.items() if any(row)}
    everything = [row for (code, _, dimension, _), row in whole.items() if (code, dimension) == (rules.ALL, "")]
    people = [click for click in seen if click.known and not click.bot]
    assert sum(row[0] for row in everything) == len(people)
    assert sum(row[1] for row in everything) == len({(c.code, c.at.date(), c.visitor) for c in people})
    assert sum(row[2] for row in everything) == sum(click.known and click.bot for click in seen)
    for dimension in rules.DIMENSIONS:  # each click has one value of each dimension
        assert sum(row[0] for (_, _, d, _), row in whole.items() if d == dimension) == len(people)


def test_a_stranger_does_not_choose_how_many_rows_there_are() -> None:
    limit = rules.ValueLimit(5)
    seen = [
        rules.Seen("one", NOW, 0, number, False, ("US", f"spam{number}.example", "desktop", "Firefox", "Linux"))
        for number in range(1000)
    ]
    rows = rules.rollup(seen, [], limit.admit)
    referrers = {value: row.clicks for (code, _, dimension, value), row in rows.items() if dimension == "referrer"}
    assert len(referrers) == 6
    assert referrers[rules.OTHERS] == 995


def test_periods_end_in_the_running_hour_or_day() -> None:
    hours = rules.buckets_of("24h", NOW)
    assert (len(hours), hours[-1].at) == (24, NOW.replace(minute=0))
    days = rules.buckets_of("7d", NOW)
    assert (len(days), days[-1].at) == (7, NOW.replace(hour=0, minute=0))


def test_counts_fall_into_their_buckets() -> None:
    counted = [Bucket(NOW, 1, 1, 0), Bucket(NOW - timedelta(hours=2), 2, 0, 1), Bucket(NOW - timedelta(days=20), 9)]
    days = rules.filled(rules.buckets_of("7d", NOW), counted)
    assert days[-1] == Bucket(NOW.replace(hour=0, minute=0), 3, 1, 1)
    assert sum(day.clicks for day in days) == 3


@given(st.dictionaries(st.sampled_from([*"abcdefghijklmnop", rules.OTHERS]), st.integers(1, 9)), st.integers(1, 12))
def test_the_top_keeps_the_sum(counts: dict[str, int], most: int) -> None:
    ranked = rules.top(Counter(counts), most)
    assert sum(count for _, count in ranked) == sum(counts.values())
    assert len(ranked) <= most + 1
