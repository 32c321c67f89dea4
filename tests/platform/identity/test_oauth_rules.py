"""Scopes, redirect addresses, proofs and tokens of OAuth: what is decided without a server."""

import hashlib
import re
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.platform.errors import Unauthorized
from tenfold.platform.identity import ANONYMOUS, Principal, rules
from tenfold.platform.identity.errors import ScopeMissing
from tenfold.platform.identity.oauth import rules as oauth
from tenfold.platform.identity.oauth.errors import InvalidRequest
from tenfold.platform.identity.scopes import FOLLOW, SCOPES, covers

SCOPE = st.sampled_from(sorted(SCOPES))
SCOPE_SETS = st.frozensets(SCOPE, max_size=6)
OOB = "urn:ietf:wg:oauth:2.0:oob"


@given(SCOPE_SETS, SCOPE)
def test_a_scope_covers_itself_and_more_scopes_cover_no_less(granted, scope):
    assert covers({scope}, scope)
    assert covers(granted | {scope}, scope)
    assert not covers(granted, scope) or covers(granted | {"push"}, scope)


@given(SCOPE_SETS, SCOPE_SETS, SCOPE)
def test_what_is_covered_can_cover_no_more_than_what_covers_it(granted, between, scope):
    if all(covers(granted, each) for each in between) and covers(between, scope):
        assert covers(granted, scope)


@given(SCOPE)
def test_a_broad_scope_covers_its_own_only(scope):
    verb = scope.partition(":")[0]
    assert covers({"read"}, scope) == (verb in ("read", "profile"))
    assert covers({"write"}, scope) == (verb == "write")
    assert covers({"follow"}, scope) == (scope in {*FOLLOW, "follow"})
    assert covers({"*"}, scope)
    assert not covers((), scope)


def test_reading_and_writing_everything_covers_what_follow_does():
    assert covers({"read", "write"}, "follow")
    assert not covers({"read", "write:follows"}, "follow")


def test_what_is_no_scope_is_covered_by_everything_only():
    for wanted in ("", "admin:read", "admin", "*", "READ"):
        assert not covers(SCOPES.keys(), wanted)
        assert covers({"*"}, wanted)


@given(SCOPE_SETS)
def test_merged_scopes_mean_the_same(scopes):
    merged = oauth.merged(scopes)
    assert set(merged) <= scopes
    assert all(covers(merged, each) == covers(scopes, each) for each in SCOPES)


def test_a_principal_may_what_its_scopes_cover():
    token = Principal(account_id=7, scopes=frozenset({"read", "write:statuses"}), via="oauth")
    assert token.may("read:lists")
    assert token.require("write:statuses") == 7
    with pytest.raises(ScopeMissing) as caught:
        token.require("write:media")
    assert caught.value.status == 403
    assert 'error="insufficient_scope", scope="write:media"' in caught.value.headers["WWW-Authenticate"]
    key = Principal(account_id=7, scopes=frozenset({"*"}), via="key")
    assert key.require("write:media") == 7
    for nobody in (ANONYMOUS, Principal(scopes=frozenset({"read"}), via="oauth")):
        with pytest.raises(Unauthorized):
            nobody.require("read")


@pytest.mark.parametrize(
    "uri",
    [
        OOB,
        "https://client.example/callback?next=%2F",
        "http://127.0.0.1/callback",
        "com.example.app:/callback",
        "icecubesapp://",
        "http://[::1]:8080/",
    ],
)
def test_addresses_that_applications_have(uri):
    assert oauth.redirect_uri_problem(uri) is None


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/callback",
        "callback",
        "javascript:alert(1)",
        "JavaScript://x/%0aalert(1)",
        "data:text/html,hello",
        "vbscript:x",
        "file:///etc/passwd",
        "urn:ietf:wg:oauth:2.0:oob:auto",
        "https://",
        "https:callback",
        "https://client.example/#fragment",
        "https://client.example/with space",
        " https://client.example/",
        "https://client.example/\n",
        "https://[not-an-address/",
        "https://client.example:port/",
        "https://client.example/" + "x" * 2000,
    ],
)
def test_addresses_that_no_application_has(uri):
    assert oauth.redirect_uri_problem(uri) is not None


def test_a_redirect_goes_where_it_was_registered_only():
    registered = ["https://client.example/callback", "app://callback", "http://127.0.0.1:1234/callback?x=1", OOB]
    for uri in registered:
        assert oauth.redirects_to(registered, uri)
    for uri in (
        "https://client.example/callback/",
        "https://client.example/callback?x",
        "https://client.example:8443/callback",
        "http://client.example/callback",
        "https://CLIENT.example/callback",
        "app://callback2",
        "https://evil.example/",
        "",
    ):
        assert not oauth.redirects_to(registered, uri)


@given(st.integers(0, 65_535))
def test_a_program_on_this_machine_listens_where_it_can(port):
    registered = ["http://127.0.0.1/callback", "http://[::1]:1/callback", "http://localhost:3000/"]
    assert oauth.redirects_to(registered, f"http://127.0.0.1:{port}/callback")
    assert oauth.redirects_to(registered, f"http://[::1]:{port}/callback")
    assert oauth.redirects_to(registered, f"http://localhost:{port}/")
    for other in (
        f"https://127.0.0.1:{port}/callback",
        f"http://127.0.0.1:{port}/other",
        f"http://127.0.0.1:{port}/callback?x=1",
        f"http://127.0.0.1:{port}@evil.example/callback",
        f"http://someone@127.0.0.1:{port}/callback",
        f"http://127.0.0.1:{port}/callback#x",
        f"http://127.0.0.1.evil.example:{port}/callback",
        f"http://localhost:{port}/callback",
    ):
        assert not oauth.redirects_to(registered, other)


@pytest.mark.parametrize(
    "website", ["javascript:alert(1)", "https://", "client.example", "https://a b.example", "https://a\0"]
)
def test_pages_that_no_application_has(website):
    assert oauth.website_problem("https://client.example/#about") is None
    assert oauth.website_problem(website) is not None


@given(st.text(), st.text(min_size=1))
def test_what_an_application_is_told_arrives(state, code):
    for uri in ("https://client.example/cb", "https://client.example/cb?x=1", "app://cb"):
        query = parse_qs(urlsplit(oauth.redirect(uri, code=code, state=state, iss=None)).query, keep_blank_values=True)
        assert (query["code"], query["state"]) == ([code], [state])
        assert "iss" not in query


def test_a_person_is_told_who_will_get_the_code():
    assert oauth.shown_host("https://someone@client.example:8443/x") == "client.example:8443"
    assert oauth.shown_host("com.example.app:/callback") == "com.example.app:"
    assert oauth.shown_host(OOB) is None


@given(st.text(alphabet="abcXYZ019-._~", min_size=43, max_size=128))
def test_only_the_verifier_fits_its_challenge(verifier):
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert oauth.verified(verifier, challenge)
    assert not oauth.verified(verifier[:-1] + ("a" if verifier[-1] != "a" else "b"), challenge)
    assert not oauth.verified(None, challenge)
    assert not oauth.verified("", challenge)
    assert not oauth.verified(verifier, None), "a verifier where no challenge was"
    assert not oauth.verified(challenge, challenge), "plain"
    assert oauth.verified(None, None)


@given(st.text(max_size=200))
def test_a_verifier_of_another_shape_proves_nothing(verifier):
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode("utf-8", "replace")).digest()).rstrip(b"=").decode()
    if not re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier):
        assert not oauth.verified(verifier, challenge)


@given(st.text(), st.text())
def test_basic_credentials_are_read(client_id, secret):
    encoded = b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()
    read = oauth.read_basic(f"bAsIc {encoded}")
    assert read is not None
    assert (read.client_id, read.client_secret) == (client_id, secret)
    assert repr(read) == "ClientCredentials(...)"


def test_what_is_not_basic():
    assert oauth.read_basic("") is None
    assert oauth.read_basic("Bearer abc") is None
    for unreadable in ("Basic ?", "Basic \u00e4", "Basic " + b64encode(b"\xff:\xff").decode()):
        with pytest.raises(InvalidRequest):
            oauth.read_basic(unreadable)


@given(st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 63) - 1))
def test_what_renews_keeps_its_family(account_id, grant_id):
    first = oauth.new_refresh_token(account_id, grant_id)
    second = oauth.new_refresh_token(account_id, grant_id, first.text)
    assert first.family == second.family
    assert first.digest != second.digest
    assert oauth.new_refresh_token(account_id, grant_id).family != first.family
    token = rules.read_token(second.text)
    assert token is not None
    assert rules.read_public_id(token.public_id) == (rules.REFRESH, account_id, grant_id)
    assert oauth.read_refresh_token(second.text) == second


@given(st.one_of(st.text(), st.from_regex(r"t[iaf]_[0-9A-Za-z]{20,24}", fullmatch=True)))
def test_garbage_is_no_client(text):
    found = oauth.read_client_id(text)
    assert found is None or rules.public_id(rules.CLIENT, 0, found) == text


def test_we_call_ourselves_what_we_were_called():
    assert rules.base_url("https://ten.example", "feed.ten.example", "") == "https://feed.ten.example"
    assert rules.base_url("http://localhost:8080", "[::1]:9000", "/feed") == "http://[::1]:9000/feed"
    for host in ("", "evil.example/x", "a b", "user@host", "h:123456"):
        assert rules.base_url("https://ten.example", host, "/feed") == "https://ten.example/feed"
