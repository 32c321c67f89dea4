"""Names, passwords, tokens and the origin of requests."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.platform.identity import rules
from tenfold.platform.identity.rules import Origin

IDS = st.integers(0, (1 << 63) - 1)
KINDS = st.sampled_from([rules.SESSION, rules.KEY])


@given(st.from_regex(r"[A-Za-z0-9_]{3,30}", fullmatch=True))
def test_good_names_are_taken(name):
    assert rules.name_problem(name) is None


@given(st.text())
def test_other_names_are_refused(name):
    good = re.fullmatch(r"[A-Za-z0-9_]{3,30}", name, re.ASCII) is not None and not name.endswith("\n")
    assert (rules.name_problem(name) is None) == good


@pytest.mark.parametrize("name", ["ab", "a" * 31, "with space", "naïve", "abc\n", "", "a-b-c", "١٢٣٤"])
def test_names_that_are_refused(name):
    assert rules.name_problem(name)


@given(st.text(min_size=8, max_size=60), st.from_regex(r"[A-Za-z0-9_]{3,7}", fullmatch=True))
def test_long_passwords_are_taken_whatever_they_are_made_of(password, name):
    common = password.casefold() in rules._COMMON
    assert (rules.password_problem(password, name) is None) == (not common)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "8 characters"),
        ("", "8 characters"),
        ("x" * 257, "256 bytes"),
        ("ü" * 129, "256 bytes"),
        ("\ud800" * 129, "256 bytes"),
        ("password123", "attacker"),
        ("PassWord123", "attacker"),
        ("qwertyuiop", "attacker"),
        ("alice_in_wonderland", "your name"),
        ("Alice_In_Wonderland", "your name"),
    ],
)
def test_passwords_that_are_refused(password, why):
    assert why in (rules.password_problem(password, "alice_in_wonderland") or "")


def test_the_same_letters_typed_on_another_keyboard_are_the_same_password():
    composed, decomposed = (unicodedata.normalize(form, "Zürich am Señor") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert rules.password_bytes(composed) == rules.password_bytes(decomposed)


def test_a_password_that_only_begins_like_the_longest_one_is_another():
    longest = "x" * 256
    assert rules.password_problem(longest, "alice") is None
    assert rules.password_bytes(longest) != rules.password_bytes(longest + "y")


@given(st.text(max_size=80))
def test_labels_are_short_and_visible(label):
    if rules.label_problem(label) is None:
        assert 1 <= len(label) <= 64
        assert "\x00" not in label
        assert label.strip()


@given(KINDS, IDS, IDS)
def test_a_token_says_where_it_is_kept(kind, account_id, id):
    text = rules.new_token(kind, account_id, id)
    token = rules.read_token(text)
    assert token is not None
    assert token.public_id == rules.public_id(kind, account_id, id)
    assert rules.read_public_id(token.public_id) == (kind, account_id, id)
    assert text.startswith(f"{kind}_")
    assert re.fullmatch(r"\w+", text, re.ASCII)


def test_no_two_tokens_are_alike_and_the_digest_covers_all_of_one():
    first, second = (rules.new_token(rules.KEY, 1, 2) for _ in range(2))
    assert first != second
    assert rules.digest(first) != rules.digest(second)


@given(st.one_of(st.text(), st.from_regex(r"t[sf]_[0-9A-Za-z]{20,24}_[0-9A-Za-z]{41,45}")))
def test_garbage_is_no_token(text):
    token = rules.read_token(text)
    assert token is None or (len(text) == 69 and rules.read_public_id(token.public_id) != ())


def test_numbers_that_no_account_has_are_no_public_id():
    assert rules.read_public_id("tf_" + "Z" * 22) is None


@given(st.text())
def test_ids_fit_into_the_database(text):
    number = rules.read_id(text)
    assert number is None or 0 <= number < 1 << 63


@pytest.mark.parametrize("text", ["", "-1", "9223372036854775808", "1.0", "٣", "²", "1" * 5000, " 1"])
def test_what_is_no_id(text):
    assert rules.read_id(text) is None


@given(st.binary())
def test_any_authorization_header_can_be_read(header):
    rules.read_bearer(header)


@pytest.mark.parametrize(
    ("header", "token"),
    [(b"Bearer abc", "abc"), (b"bearer  abc ", "abc"), (b"Basic abc", None), (b"", None), (b"Bearer", "")],
)
def test_bearer_tokens(header, token):
    assert rules.read_bearer(header) == token


@given(st.binary(), st.text(max_size=5))
def test_any_cookie_header_can_be_read(header, name):
    rules.read_cookie(header, name)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (b"tenfold_session=abc", "abc"),
        (b"a=b; tenfold_session=abc; c=d", "abc"),
        (b"a=b;tenfold_session=abc;", "abc"),
        (b"xtenfold_session=abc", None),
        (b"tenfold_session", ""),
        (b"", None),
    ],
)
def test_cookies(header, value):
    assert rules.read_cookie(header, "tenfold_session") == value


@pytest.mark.parametrize(
    ("address", "domain", "name", "secure"),
    [
        ("http://localhost:8080", None, "tenfold_session", False),
        ("https://tenfold.example", None, "__Host-tenfold_session", True),
        ("https://tenfold.example", "tenfold.example", "__Secure-tenfold_session", True),
    ],
)
def test_the_session_cookie_is_as_strict_as_the_address_allows(address, domain, name, secure):
    assert rules.session_cookie(address, domain) == (name, domain, secure)


SAME, OTHER, UNSAID = True, False, None


@pytest.mark.parametrize(
    ("site", "origin", "host", "expected"),
    [
        ("same-origin", None, "a.example", SAME),
        ("none", None, "a.example", SAME),
        ("same-site", None, "a.example", OTHER),
        ("cross-site", None, "a.example", OTHER),
        ("", None, "a.example", OTHER),
        # Sec-Fetch-Site can't be forged by a page; Origin isn't asked then.
        ("cross-site", "https://a.example", "a.example", OTHER),
        ("same-origin", "https://b.example", "a.example", SAME),
        (None, "https://a.example", "a.example", SAME),
        (None, "https://a.example", "a.example:443", SAME),
        (None, "http://a.example:80", "a.example", SAME),
        (None, "http://localhost:8080", "localhost:8080", SAME),
        (None, "http://localhost:8081", "localhost:8080", OTHER),
        (None, "http://links.localhost:8080", "localhost:8080", OTHER),
        (None, "https://a.example.evil.example", "a.example", OTHER),
        (None, "https://evil.example", "a.example", OTHER),
        (None, "null", "a.example", OTHER),
        (None, "null", None, OTHER),
        (None, "", "", OTHER),
        (None, "https://", "", OTHER),
        (None, "ftp://a.example", "a.example", OTHER),
        (None, "https://a.example", None, OTHER),
        (None, None, "a.example", UNSAID),
    ],
)
def test_where_a_request_comes_from(site, origin, host, expected):
    sender = Origin(site, origin, host)
    assert rules.same_origin(sender) is expected
    for method in ("POST", "PUT", "PATCH", "DELETE", "WEBSOCKET", "BREW"):
        assert rules.cookie_may_act(method, sender) == (expected is SAME)
    for method in ("GET", "HEAD", "OPTIONS"):
        assert rules.cookie_may_act(method, sender)


@given(st.dictionaries(st.sampled_from([b"origin", b"host", b"sec-fetch-site"]), st.binary()))
def test_any_headers_can_be_read(headers):
    rules.same_origin(rules.read_origin(headers))


@given(st.text())
def test_user_agents_are_kept_short_and_plain(agent):
    assert len(rules.shown_agent(agent)) <= 200
    assert rules.shown_agent(agent).isprintable()
