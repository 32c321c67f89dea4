"""Applications, consent and codes: as a client, a browser and somebody who stole something do it."""

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.platform.identity.oauth_client import CALLBACK, OOB, refused, registered, unknown_to

from tenfold.platform.errors import Invalid, TooManyRequests
from tenfold.platform.identity import rules as identity_rules
from tenfold.platform.identity.oauth import actions

VERIFIER = "a-verifier-is-made-of-43-to-128-characters-of-these"
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


# --- applications ---------------------------------------------------------------------------------------------------


async def test_an_application_gets_an_id_and_a_secret_that_is_shown_once(process):
    new = await registered(process)
    assert new.client_id.startswith("ti_")
    assert len(new.client_secret) == 43
    assert new.client_secret not in repr(new)
    async with process.identity.db.read() as tx:
        dump = str(await tx.value("SELECT string_agg(t::text, ' ') FROM platform.oauth_application t"))
    assert new.client_secret not in dump
    assert identity_rules.digest(new.client_secret).hex() in dump


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"redirect_uris": []}, "redirect_uris"),
        ({"redirect_uris": [CALLBACK] * 11}, "redirect_uris"),
        ({"redirect_uris": [CALLBACK, "javascript:alert(1)"]}, "redirect_uris"),
        ({"scopes": ["read", "admin:read"]}, "scopes"),
        ({"scopes": ["*"]}, "scopes"),
        ({"website": "javascript:alert(1)"}, "website"),
    ],
)
async def test_bad_applications_name_the_field(process, changed, field):
    with pytest.raises(Invalid) as caught:
        await registered(process, **changed)
    assert set(caught.value.fields) == {field}


async def test_an_address_registers_so_many_applications_an_hour(start):
    async with start(limits={"identity.oauth.application": "2/hour"}) as process:
        for _ in range(2):
            await registered(process)
        with pytest.raises(TooManyRequests):
            await registered(process)
        await registered(process, ip="203.0.113.8")


async def test_applications_that_nobody_uses_are_swept(app):
    identity = app.process.identity
    unused, trusted, busy = app.application, await registered(app.process), await registered(app.process)
    app.application = trusted
    await app.password()
    app.application = busy
    own = await app.token("client_credentials")
    async with identity.db.transaction() as tx:
        await tx.execute("UPDATE platform.oauth_application SET used_at = used_at - interval '8 days'")
    await app.who(own)  # which notes that it is used
    await actions.sweep(identity)
    async with identity.db.read() as tx:
        left = await tx.value("SELECT array_agg(id) FROM platform.oauth_application")
    assert set(left) == {trusted.id, busy.id}
    assert unused.id not in left


# --- consent --------------------------------------------------------------------------------------------------------


async def test_what_a_person_is_asked(app):
    asked = await app.browser.get("/api/identity/authorization", params=app.request(scope="follow read:statuses read"))
    assert asked.json() == {
        "name": "Client",
        "website": "https://client.example/",
        "leads_to": "client.example",
        "scopes": ["Read everything in your account", "See and change whom you follow, mute and block"],
        "error": None,
        "return_to": None,
    }


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"client_id": "ti_0000000000000000000000"}, "client_id"),
        ({"client_id": "unknown"}, "client_id"),
        ({"redirect_uri": "https://evil.example/"}, "redirect_uri"),
        ({"redirect_uri": CALLBACK + "&more=1"}, "redirect_uri"),
        ({"redirect_uri": None}, "redirect_uri"),
    ],
)
async def test_a_request_of_nobody_we_know_leads_nowhere(app, changed, field):
    wanted = {name: value for name, value in app.request(**changed).items() if value is not None}
    asked = await app.browser.get("/api/identity/authorization", params=wanted)
    assert asked.status_code == 422
    assert set(asked.json()["fields"]) == {field}
    decided = await app.browser.post("/api/identity/authorization", json=wanted | {"approve": True})
    assert decided.status_code == 422


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "read admin:read"}, "invalid_scope"),
        ({"scope": "profile push nonsense"}, "invalid_scope"),
        ({"code_challenge": CHALLENGE}, "invalid_request"),  # plain, by default
        ({"code_challenge": CHALLENGE, "code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short", "code_challenge_method": "S256"}, "invalid_request"),
        ({"code_challenge_method": "S256"}, "invalid_request"),
    ],
)
async def test_what_cant_be_asked_goes_back_to_the_application(app, changed, error):
    asked = (await app.browser.get("/api/identity/authorization", params=app.request(**changed))).json()
    assert asked["error"]
    assert asked["return_to"].startswith(CALLBACK + "&")
    told = parse_qs(urlsplit(asked["return_to"]).query)
    assert (told["error"], told["state"]) == ([error], ["xyz"])
    decided = await app.browser.post("/api/identity/authorization", json=app.request(**changed) | {"approve": True})
    assert decided.json()["code"] == error


async def test_the_answer_says_who_answers(app):
    told = parse_qs(urlsplit((await app.consent())["redirect_to"]).query)
    metadata = (await app.client.get("/.well-known/oauth-authorization-server")).json()
    assert told["iss"] == [metadata["issuer"]]
    assert told["state"] == ["xyz"]
    assert told["from"] == ["tenfold"]


async def test_no_is_an_answer(app):
    answer = await app.browser.post("/api/identity/authorization", json=app.request() | {"approve": False})
    told = parse_qs(urlsplit(answer.json()["redirect_to"]).query)
    assert (told["error"], told["state"], "code" in told) == (["access_denied"], ["xyz"], False)
    shown = app.request(redirect_uri=OOB) | {"approve": False}
    answer = await app.browser.post("/api/identity/authorization", json=shown)
    assert answer.json() == {"redirect_to": None, "code": None}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://sub.localhost"},
    ],
)
async def test_another_sites_page_cant_consent(app, headers):
    answer = await app.browser.post(
        "/api/identity/authorization", json=app.request() | {"approve": True}, headers=headers
    )
    assert answer.status_code == 403
    assert answer.json()["code"] == "cross_site_refused"


async def test_only_who_signed_in_consents(app):
    decision = app.request() | {"approve": True}
    assert (await app.client.post("/api/identity/authorization", json=decision)).status_code == 401
    key = (await app.browser.post("/api/identity/keys", json={"name": "laptop"})).json()["secret"]
    by_key = await app.client.post(
        "/api/identity/authorization", json=decision, headers={"Authorization": f"Bearer {key}"}
    )
    assert by_key.json()["code"] == "session_needed"


# --- codes ----------------------------------------------------------------------------------------------------------


async def test_a_code_becomes_a_token(app):
    answer = await app.exchange(await app.code())
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    token = answer.json()
    assert set(token) == {"access_token", "token_type", "scope", "created_at"}, "nothing that would end or be renewed"
    assert (token["token_type"], token["scope"]) == ("Bearer", "read write")
    assert isinstance(token["created_at"], int)
    principal = await app.who(answer)
    assert (principal.name, principal.tier, principal.via) == ("Alice", "free", "oauth")
    assert (principal.application_id, principal.application_name) == (app.application.id, "Client")
    assert principal.scopes == {"read", "write"}
    assert (await actions.find_application(app.process.identity, principal)).client_id == app.application.client_id


@pytest.mark.parametrize("how", ["form", "multipart", "json", "basic"])
async def test_clients_send_what_they_like(app, how):
    parameters = {"grant_type": "authorization_code", "code": await app.code(), "redirect_uri": CALLBACK}
    if how == "form":
        sent: dict[str, Any] = {"data": parameters | app.credentials}
    elif how == "multipart":
        sent = {"files": {name: (None, value) for name, value in (parameters | app.credentials).items()}}
    elif how == "json":
        sent = {"json": parameters | app.credentials}
    else:
        sent = {"data": parameters, "auth": (app.application.client_id, app.application.client_secret)}
    assert (await app.client.post("/oauth/token", **sent)).status_code == 200


async def test_a_code_can_be_shown_and_typed(app):
    shown = await app.consent(redirect_uri=OOB)
    assert shown["redirect_to"] is None
    assert (await app.exchange(shown["code"], redirect_uri=OOB)).status_code == 200


async def test_a_program_on_the_same_machine_listens_on_any_port(app):
    uri = "http://127.0.0.1:49152/cb"
    code = await app.code(redirect_uri=uri)
    assert refused(await app.exchange(code, redirect_uri="http://127.0.0.1:49153/cb"), "invalid_grant")
    assert (await app.exchange(code, redirect_uri=uri)).status_code == 200


async def test_a_code_that_comes_twice_revokes_what_it_gave(app, start):
    code = await app.code()
    first = await app.exchange(code)
    async with start() as other:
        assert (await app.who(first, other)).name == "Alice"
        assert refused(await app.exchange(code), "invalid_grant")
        await unknown_to(other, first)
    await unknown_to(app.process, first)


async def test_a_code_that_comes_twice_at_once_is_given_nothing_that_stays(app):
    code = await app.code()
    answers = await asyncio.gather(*(app.exchange(code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]
    await unknown_to(app.process, next(answer for answer in answers if answer.status_code == 200))


async def test_a_code_is_for_its_application_and_address_only(app):
    code = await app.code()
    own = app.application
    app.application = await registered(app.process)
    assert refused(await app.exchange(code), "invalid_grant")
    app.application = own
    assert refused(await app.exchange(code, redirect_uri=OOB), "invalid_grant")
    assert refused(await app.token("authorization_code", code=code), "invalid_grant")
    for guess in ("", "guess", code[:-1] + ("a" if code[-1] != "a" else "b"), "tc_" + "Z" * 22 + "_" + "a" * 43):
        assert refused(await app.exchange(guess), "invalid_grant")
    assert (await app.exchange(code)).status_code == 200


async def test_a_code_waits_ten_minutes(app):
    code = await app.code()
    await make_older(app.process, "10 minutes 1 second")
    assert refused(await app.exchange(code), "invalid_grant")
    await actions.sweep(app.process.identity)
    async with app.process.identity.db.read() as tx:
        assert await tx.value("SELECT count(*) FROM platform.oauth_grant") == 0


async def test_a_challenge_asks_for_its_verifier(app):
    challenge = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    code = await app.code(**challenge)
    assert refused(await app.exchange(code), "invalid_grant")
    assert refused(await app.exchange(code, code_verifier=VERIFIER[::-1]), "invalid_grant")
    assert refused(await app.exchange(code, code_verifier=CHALLENGE), "invalid_grant")
    assert (await app.exchange(code, code_verifier=VERIFIER)).status_code == 200


async def test_a_verifier_without_a_challenge_is_an_attack(app):
    assert refused(await app.exchange(await app.code(), code_verifier=VERIFIER), "invalid_grant")


async def test_who_keeps_no_secret_proves_itself_by_a_challenge(app):
    app.application = await registered(app.process, confidential=False)
    assert app.application.client_secret is None
    asked = (await app.browser.get("/api/identity/authorization", params=app.request())).json()
    assert "PKCE" in asked["error"]
    code = await app.code(code_challenge=CHALLENGE, code_challenge_method="S256")
    assert (await app.exchange(code, code_verifier=VERIFIER)).status_code == 200
    assert refused(await app.token("client_credentials"), "unauthorized_client")
    assert refused(await app.token("client_credentials", client_secret="a guess"), "invalid_client", 401)


async def make_older(process, interval: str) -> None:
    async with process.identity.db.transaction() as tx:
        await tx.execute(f"UPDATE platform.oauth_grant SET created_at = created_at - interval '{interval}'")
