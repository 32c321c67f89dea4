"""Tokens of applications: for passwords and codes, renewed, revoked, and what they reach."""

import pytest
from tests.platform.identity.oauth_client import PASSWORD, App, refused, registered, unknown_to

from tenfold.platform.errors import Unauthorized
from tenfold.platform.identity import actions as identity_actions
from tenfold.platform.identity import rules as identity_rules
from tenfold.platform.identity.errors import ApplicationRefused, BadCredential
from tenfold.platform.identity.oauth import actions, rules

# --- other grants ---------------------------------------------------------------------------------------------------


async def test_a_password_becomes_a_token(app):
    answer = await app.password("read write follow push")
    assert answer.status_code == 200
    assert answer.json()["scope"] == "read write follow push"
    assert (await app.who(answer)).name == "Alice"


async def test_a_wrong_password_is_an_invalid_grant(app):
    assert refused(await app.password(password="wrong password"), "invalid_grant")
    assert refused(await app.password(username="nobody"), "invalid_grant")
    assert refused(await app.token("password"), "invalid_grant")


async def test_passwords_are_guessed_no_faster_here(start):
    async with start(limits={"identity.signin.name": "2/hour"}) as process, process.visitor(browser=False) as client:
        await identity_actions.create_account(process.identity, "alice", PASSWORD)
        app = App(process, await registered(process), client, client)
        for _ in range(2):
            assert refused(await app.password(password="wrong password"), "invalid_grant")
        answer = await app.password()
        assert refused(answer, "too_many_requests", 429)
        assert int(answer.headers["retry-after"]) > 0
        signed_in = await client.post("/api/identity/signin", json={"name": "alice", "password": PASSWORD})
        assert signed_in.status_code == 429


async def test_an_application_acts_for_itself(app):
    answer = await app.token("client_credentials", scope="read")
    assert set(answer.json()) == {"access_token", "token_type", "scope", "created_at"}
    principal = await app.who(answer)
    assert (principal.account_id, principal.tier, principal.via) == (None, "anonymous", "oauth")
    assert principal.application_id == app.application.id
    assert principal.may("read:statuses")
    assert not principal.may("write")
    with pytest.raises(Unauthorized):
        principal.require("read")
    assert (await actions.find_application(app.process.identity, principal)).name == "Client"
    assert (await app.revoke(answer.json()["access_token"])).json() == {}
    await unknown_to(app.process, answer)


async def test_scopes_are_no_more_than_the_application_may_have(app):
    app.application = await registered(app.process, scopes=["read:statuses", "follow"])
    narrow = await app.password("read:statuses write:blocks")
    assert narrow.json()["scope"] == "read:statuses write:blocks"
    principal = await app.who(narrow)
    assert principal.may("write:blocks")
    assert not principal.may("write:follows"), "the application may, but this token wasn't asked for it"
    for wider in ("read", "write:statuses", "read:statuses push", "*", "admin:read"):
        assert refused(await app.password(wider), "invalid_scope")
        assert refused(await app.token("client_credentials", scope=wider), "invalid_scope")
    assert refused(await app.password(scope=""), "invalid_scope"), "read, when none is named"


@pytest.mark.parametrize(
    ("changed", "error", "status"),
    [
        ({"client_secret": "a guess"}, "invalid_client", 401),
        ({"client_id": "ti_0000000000000000000001"}, "invalid_client", 401),
        ({"client_id": ""}, "invalid_client", 401),
        ({"grant_type": "implicit"}, "unsupported_grant_type", 400),
        ({"grant_type": ""}, "unsupported_grant_type", 400),
        ({"code": "x" * 5000}, "invalid_request", 400),
    ],
)
async def test_what_a_client_gets_wrong(app, changed, error, status):
    wanted = app.credentials | {"grant_type": "client_credentials", "scope": "read"}
    for sent in ({"data": wanted | changed}, {"json": wanted | changed}):
        answer = await app.client.post("/oauth/token", **sent)
        assert refused(answer, error, status)
        assert ("www-authenticate" in answer.headers) == (status == 401)
    assert refused(await app.client.post("/oauth/revoke", data={"token": "x"}), "invalid_client", 401)


async def test_bodies_that_are_no_parameters(app):
    doubled = "grant_type=client_credentials&grant_type=password"
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert refused(await app.client.post("/oauth/token", content=doubled, headers=form), "invalid_request")
    for body in (b"[1]", b"null", b""):
        answer = await app.client.post("/oauth/token", content=body, headers={"content-type": "application/json"})
        assert refused(answer, "invalid_client", 401)
    for body in (b"{", b"[" * 5000, b'{"code": 1}', b'{"code": "\xff"}'):
        answer = await app.client.post("/oauth/token", content=body, headers={"content-type": "application/json"})
        assert refused(answer, "invalid_request")
    upload = await app.client.post("/oauth/token", files={"code": ("code.txt", b"code")})
    assert refused(upload, "invalid_request")
    assert refused(await app.client.post("/oauth/token", data={"code": "x" * 70_000}), "invalid_request", 413)
    twice = app.credentials | {"grant_type": "client_credentials"}
    both = await app.client.post("/oauth/token", data=twice, auth=(app.application.client_id, "x"))
    assert refused(both, "invalid_request")


# --- renewing -------------------------------------------------------------------------------------------------------


async def test_who_asked_for_offline_access_renews_its_token(app, start):
    first = await app.password("read offline_access")
    assert first.json()["expires_in"] == rules.ACCESS_LIFE
    async with start() as other:
        assert (await app.who(first, other)).name == "Alice"
        second = await app.token("refresh_token", refresh_token=first.json()["refresh_token"])
        assert second.status_code == 200
        assert second.json()["scope"] == "read offline_access"
        assert second.json()["refresh_token"] != first.json()["refresh_token"]
        assert (await app.who(second, other)).name == "Alice"
        await unknown_to(other, first)
    third = await app.token("refresh_token", refresh_token=second.json()["refresh_token"], scope="read:lists")
    assert third.status_code == 200
    assert (await app.who(third)).name == "Alice"


async def test_a_token_ends_after_an_hour(app):
    answer = await app.exchange(await app.code(scope="read offline_access"))
    async with app.process.identity.db.transaction() as tx:
        ended = "UPDATE platform.oauth_grant SET access_ends_at = access_ends_at - make_interval(secs => $1)"
        await tx.execute(ended, rules.ACCESS_LIFE)
    await unknown_to(app.process, answer)
    renewed = await app.token("refresh_token", refresh_token=answer.json()["refresh_token"])
    assert (await app.who(renewed)).name == "Alice"


async def test_what_renewed_once_and_comes_again_revokes_it_all(app):
    first = (await app.password("read offline_access")).json()["refresh_token"]
    second = await app.token("refresh_token", refresh_token=first)
    third = await app.token("refresh_token", refresh_token=second.json()["refresh_token"])
    assert (await app.who(third)).name == "Alice"
    assert refused(await app.token("refresh_token", refresh_token=first), "invalid_grant")
    await unknown_to(app.process, third)
    assert refused(await app.token("refresh_token", refresh_token=third.json()["refresh_token"]), "invalid_grant")


async def test_a_guess_and_another_application_renew_and_revoke_nothing(app):
    answer = await app.password("read offline_access")
    own, refresh = app.application, answer.json()["refresh_token"]
    for guess in ("", "guess", refresh[:30] + refresh[::-1][:39], answer.json()["access_token"]):
        assert refused(await app.token("refresh_token", refresh_token=guess), "invalid_grant")
    assert refused(await app.token("refresh_token", refresh_token=refresh, scope="read write"), "invalid_scope")
    app.application = await registered(app.process)
    assert refused(await app.token("refresh_token", refresh_token=refresh), "invalid_grant")
    app.application = own
    assert (await app.who(answer)).name == "Alice"
    assert (await app.token("refresh_token", refresh_token=refresh)).status_code == 200


# --- revoking and bounds --------------------------------------------------------------------------------------------


async def test_revoking_reaches_other_processes(app, start):
    answer = await app.password()
    async with start() as other:
        assert (await app.who(answer, other)).name == "Alice"
        assert (await app.revoke(answer.json()["access_token"])).status_code == 200
        await unknown_to(other, answer)
    await unknown_to(app.process, answer)
    assert (await app.revoke(answer.json()["access_token"])).status_code == 200, "gone is gone"


async def test_revoking_what_renews_revokes_the_token_too(app):
    answer = await app.password("read offline_access")
    assert (await app.who(answer)).name == "Alice"
    assert (await app.revoke(answer.json()["refresh_token"])).status_code == 200
    await unknown_to(app.process, answer)


async def test_an_application_revokes_its_own_tokens_only(app):
    answers = [await app.password("read offline_access"), await app.token("client_credentials")]
    tokens = [answers[0].json()["access_token"], answers[0].json()["refresh_token"], answers[1].json()["access_token"]]
    own, app.application = app.application, await registered(app.process)
    for token in tokens:
        assert refused(await app.revoke(token), "unauthorized_client")
    app.application = own
    key = (await app.browser.post("/api/identity/keys", json={"name": "laptop"})).json()["secret"]
    session = app.browser.cookies["tenfold_session"]
    for nothing in ("guess", tokens[0][:-1] + "_", tokens[0][:26] + tokens[1][26:], key, session):
        assert (await app.revoke(nothing)).status_code == 200
    assert refused(await app.revoke(""), "invalid_request")
    for answer in answers:
        assert (await app.who(answer)).application_name == "Client"
    assert (await app.process.identity.authenticate_bearer(key)).name == "Alice"
    assert (await app.browser.get("/api/identity/me")).json()["account"]["name"] == "Alice"


async def test_an_account_sees_and_revokes_its_applications(app, start):
    assert (await app.browser.get("/api/identity/applications")).json() == []
    answers = [await app.password("read:lists"), await app.password("read")]
    await app.code()  # which nobody came for yet
    [listed] = (await app.browser.get("/api/identity/applications")).json()
    assert (listed["id"], listed["name"]) == (str(app.application.id), "Client")
    assert listed["scopes"] == ["Read everything in your account"]
    assert listed["used_at"] is None
    async with start() as other:
        for answer in answers:
            assert (await app.who(answer, other)).name == "Alice"
        [listed] = (await app.browser.get("/api/identity/applications")).json()
        assert listed["used_at"] is not None
        assert (await app.browser.delete(f"/api/identity/applications/{listed['id']}")).status_code == 204
        for answer in answers:
            await unknown_to(other, answer)
    assert (await app.browser.get("/api/identity/applications")).json() == []
    assert (await app.browser.delete(f"/api/identity/applications/{listed['id']}")).status_code == 404
    assert (await app.browser.delete("/api/identity/applications/x")).status_code == 404


async def test_what_an_account_granted_last_stays(app, monkeypatch):
    monkeypatch.setattr(rules, "MAX_GRANTS", 3)
    oldest = await app.password()
    assert (await app.who(oldest)).name == "Alice"
    others = [await app.password() for _ in range(3)]
    for answer in others:
        assert (await app.who(answer)).name == "Alice"
    await unknown_to(app.process, oldest)


async def test_what_an_application_got_for_itself_last_stays(app, monkeypatch):
    monkeypatch.setattr(rules, "MAX_APPLICATION_ACCESSES", 2)
    oldest, *others = [await app.token("client_credentials") for _ in range(3)]
    for answer in others:
        assert (await app.who(answer)).application_name == "Client"
    await unknown_to(app.process, oldest)


async def test_a_token_reaches_nothing_of_identity(app):
    """Whatever it was granted: an application can't make keys, read sessions or change a password."""
    token = (await app.password("read write follow push")).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    password = {"current": PASSWORD, "new": "another long password"}
    for method, path, body in (
        ("POST", "/api/identity/keys", {"name": "more"}),
        ("GET", "/api/identity/keys", None),
        ("GET", "/api/identity/sessions", None),
        ("DELETE", "/api/identity/sessions", None),
        ("POST", "/api/identity/password", password),
        ("POST", "/api/identity/token", None),
        ("GET", "/api/identity/applications", None),
        ("DELETE", f"/api/identity/applications/{app.application.id}", None),
        ("POST", "/api/identity/authorization", app.request() | {"approve": True}),
    ):
        answer = await app.client.request(method, path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "application_refused"), path
    principal = await app.process.identity.authenticate_bearer(token)
    for action in (identity_actions.list_keys, identity_actions.issue_token, actions.list_authorized):
        with pytest.raises((ApplicationRefused, identity_actions.SessionNeeded, identity_actions.CredentialNeeded)):
            await action(app.process.identity, principal)


async def test_what_is_no_access_token_lets_nobody_in(app):
    answer = await app.password("read offline_access")
    for text in (answer.json()["refresh_token"], await app.code(), app.application.client_id):
        with pytest.raises(BadCredential):
            await app.process.identity.authenticate_bearer(text)
    for cookie in (answer.json()["access_token"], answer.json()["refresh_token"]):
        stolen = {"Cookie": f"tenfold_session={cookie}"}
        assert (await app.client.get("/api/identity/me", headers=stolen)).json() == {"account": None}


async def test_the_database_holds_no_token(app):
    code = await app.code()
    answer = (await app.exchange(code)).json() | (await app.password("read offline_access")).json()
    own = (await app.token("client_credentials")).json()["access_token"]
    async with app.process.identity.db.read() as tx:
        tables = ("oauth_grant", "oauth_application_access", "oauth_application")
        dump = str([await tx.value(f"SELECT string_agg(t::text, ' ') FROM platform.{table} t") for table in tables])
    for secret in (code, answer["access_token"], answer["refresh_token"], own, app.application.client_secret):
        assert secret not in dump
        assert identity_rules.digest(secret).hex() in dump


async def test_other_sites_scripts_may_ask_for_tokens(app):
    """They bring a code or a password; no cookie counts here."""
    wanted = {"Origin": "https://client.example", "Access-Control-Request-Method": "POST"}
    for path in ("/oauth/token", "/oauth/revoke"):
        preflight = await app.client.options(path, headers=wanted)
        assert preflight.status_code == 204
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
    wrong = await app.client.post("/oauth/token", headers={"Origin": "https://client.example"})
    metadata = await app.client.get("/.well-known/oauth-authorization-server")
    for answer in (preflight, await app.token("client_credentials"), wrong, metadata):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-origin" not in (await app.browser.get("/api/identity/applications")).headers
