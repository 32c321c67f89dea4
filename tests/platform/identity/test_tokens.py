"""API keys and access tokens, and who verifies them with public keys alone."""

import asyncio
import time

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenfold.platform.errors import NotFound, Unauthorized, Unavailable
from tenfold.platform.identity import Jwks, Verifier, actions, rules, signing, store
from tenfold.platform.identity.errors import BadCredential
from tenfold.platform.identity.signing import Signer
from tenfold.platform.identity.types import EVERYTHING, Principal

ADDRESS = "http://localhost:8080"
ALICE = {"name": "alice", "password": "correct horse battery"}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def signed_up(process, visitor):
    await visitor.post("/api/identity/signup", json=ALICE)
    return await visitor.post("/api/identity/keys", json={"name": "laptop"})


async def test_from_sign_up_to_a_token_that_another_process_verifies_alone(process, start):
    async with process.visitor() as alice, process.visitor(browser=False) as script:
        made = (await signed_up(process, alice)).json()
        assert made["secret"].startswith(made["key"]["prefix"] + "_")
        me = await script.get("/api/identity/me", headers=bearer(made["secret"]))
        assert me.json()["account"]["name"] == "alice"

        answer = (await script.post("/api/identity/token", headers=bearer(made["secret"]))).json()
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 900)
        from_session = (await alice.post("/api/identity/token")).json()

        published = await script.get("/.well-known/jwks.json")
        assert published.headers["cache-control"] == "max-age=300, public"
        loads = []

        async def load():
            loads.append(1)
            return msgspec.json.decode(published.content, type=Jwks)

        verifier = Verifier(ADDRESS, load)
        for token in (answer["access_token"], from_session["access_token"]):
            principal = await verifier.verify(token)
            assert (principal.name, principal.tier, principal.via) == ("alice", "free", "token")
            assert principal.scopes == EVERYTHING
            assert verifier.peek(token) == principal
        assert len(loads) == 1

        async with start() as elsewhere, elsewhere.visitor(browser=False) as client:
            me = await client.get("/api/identity/me", headers=bearer(answer["access_token"]))
            assert me.json()["account"]["name"] == "alice"


async def test_keys_are_listed_and_revoked_everywhere(process, start):
    async with start() as elsewhere, process.visitor() as alice, elsewhere.visitor(browser=False) as script:
        made = (await signed_up(process, alice)).json()
        [listed] = (await alice.get("/api/identity/keys")).json()
        assert listed == made["key"]
        assert listed["used_at"] is None
        assert (await script.get("/api/identity/me", headers=bearer(made["secret"]))).json()["account"]
        [used] = (await alice.get("/api/identity/keys")).json()
        assert used["used_at"]

        assert (await alice.delete(f"/api/identity/keys/{made['key']['id']}")).status_code == 204
        async with asyncio.timeout(5):
            while True:
                refused = await script.get("/api/identity/me", headers=bearer(made["secret"]))
                if refused.status_code == 401:
                    break
        assert refused.json()["code"] == "bad_credential"
        assert "invalid_token" in refused.headers["www-authenticate"]
        assert (await alice.get("/api/identity/keys")).json() == []
        assert (await alice.delete(f"/api/identity/keys/{made['key']['id']}")).status_code == 404


async def test_the_use_of_a_key_is_written_down_once_a_minute(process):
    account = await actions.create_account(process.identity, **ALICE)
    key = (await actions.create_key(process.identity, "ALICE")).key
    async with process.identity.db.transaction() as tx:
        found = await store.find_key(tx, account.id, key.id)
        assert found is not None
        assert found.unseen_seconds is None
        await store.note_key_used(tx, account.id, key.id, 60)
    async with process.identity.db.transaction() as tx:
        await store.note_key_used(tx, account.id, key.id, 60)
        assert await tx.value("SELECT used_at < now() FROM platform.api_key")
        await tx.execute("UPDATE platform.api_key SET used_at = now() - interval '61 seconds'")
        await store.note_key_used(tx, account.id, key.id, 60)
        assert await tx.value("SELECT used_at = now() FROM platform.api_key")


async def test_a_key_needs_its_whole_secret(process):
    await actions.create_account(process.identity, **ALICE)
    token = (await actions.create_key(process.identity, "alice")).token
    assert (await process.identity.authenticate_bearer(token)).via == "key"
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
    with pytest.raises(BadCredential):
        await process.identity.authenticate_bearer(wrong)
    with pytest.raises(BadCredential):
        await process.identity.authenticate_bearer(rules.new_token(rules.KEY, 1, 2))


async def test_a_session_is_no_bearer_token_and_a_key_is_no_cookie(process):
    async with process.visitor() as alice, process.visitor() as eve:
        key = (await signed_up(process, alice)).json()["secret"]
        session = alice.cookies["tenfold_session"]
        assert (await eve.get("/api/identity/me", headers=bearer(session))).status_code == 401
        eve.cookies["tenfold_session"] = key
        assert (await eve.get("/api/identity/me")).json() == {"account": None}


async def test_keys_and_tokens_manage_no_keys(process):
    async with process.visitor() as alice, process.visitor(browser=False) as script:
        key = (await signed_up(process, alice)).json()["secret"]
        token = (await script.post("/api/identity/token", headers=bearer(key))).json()["access_token"]
        for credential in (key, token):
            for method, path in (("GET", "keys"), ("GET", "sessions"), ("DELETE", "sessions")):
                answer = await script.request(method, f"/api/identity/{path}", headers=bearer(credential))
                assert (answer.status_code, answer.json()["code"]) == (403, "session_needed")
        assert (await script.post("/api/identity/token", headers=bearer(token))).json()["code"] == "credential_needed"
        assert (await script.post("/api/identity/token")).status_code == 401
        assert (await script.get("/api/identity/keys")).status_code == 401


async def test_an_account_has_so_many_keys_at_most(process, monkeypatch):
    monkeypatch.setattr(rules, "MAX_KEYS", 1)
    async with process.visitor() as alice:
        assert (await signed_up(process, alice)).status_code == 201
        refused = await alice.post("/api/identity/keys", json={"name": "one more"})
        assert (refused.status_code, refused.json()["code"]) == (409, "too_many_keys")
        unnamed = await alice.post("/api/identity/keys", json={"name": " "})
        assert set(unnamed.json()["fields"]) == {"name"}
    with pytest.raises(NotFound):
        await actions.create_key(process.identity, "nobody")


async def test_keys_turn_over_and_older_tokens_stay_good(process, start):
    alice = Principal(account_id=1, name="alice", tier="plus", scopes=frozenset({"read", "write"}), via="key")
    async with start() as elsewhere:
        old = await process.identity.signer.sign(alice)
        assert (await elsewhere.identity.verifier.verify(old)).tier == "plus"
        await process.identity.signer.rotate()
        new = await process.identity.signer.sign(alice)
        assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]
        assert len((await process.identity.signer.jwks()).keys) == 2
        for token in (old, new):
            assert (await elsewhere.identity.verifier.verify(token)).scopes == {"read", "write"}
        # When everybody has followed, the old one goes.
        async with process.identity.db.transaction() as tx:
            await tx.execute("UPDATE platform.signing_key SET created_at = created_at - interval '1 hour'")
        await process.identity.signer.rotate()
        kids = {key.kid for key in (await process.identity.signer.jwks()).keys}
        assert len(kids) == 2
        assert jwt.get_unverified_header(old)["kid"] not in kids


async def test_a_key_that_is_old_is_followed_by_itself(process, start):
    alice = Principal(account_id=1, name="alice", tier="free", via="key")
    first = await process.identity.signer.sign(alice)
    async with process.identity.db.transaction() as tx:
        await tx.execute(f"UPDATE platform.signing_key SET created_at = now() - interval '{signing.ROTATE_AFTER} s'")
    async with start() as elsewhere:
        second = await elsewhere.identity.signer.sign(alice)
    assert jwt.get_unverified_header(first)["kid"] != jwt.get_unverified_header(second)["kid"]


async def test_all_processes_sign_with_one_key(start):
    alice = Principal(account_id=1, name="alice", tier="free", via="key")
    async with start() as one, start() as two:
        tokens = await asyncio.gather(*(each.identity.signer.sign(alice) for each in (one, two, one, two)))
        assert len({jwt.get_unverified_header(token)["kid"] for token in tokens}) == 1


async def test_private_keys_lie_sealed(process):
    await process.identity.signer.sign(Principal(account_id=1, name="alice", tier="free", via="key"))
    assert process.identity.signer._current is not None
    _, private = process.identity.signer._current
    async with process.identity.db.read() as tx:
        [key] = await store.list_signing_keys(tx)
    assert private.private_bytes_raw() not in key.sealed
    assert str(key.sealed) not in repr(key)
    # Under another master secret nothing can be opened, so a new key is made.
    stranger = Signer(process.identity.db, ADDRESS, b"s" * 32)
    token = await stranger.sign(Principal(account_id=1, name="alice", tier="free", via="key"))
    assert jwt.get_unverified_header(token)["kid"] != key.kid


async def test_tokens_that_are_not_ours(process):
    signer, verifier = process.identity.signer, process.identity.verifier
    alice = Principal(account_id=1, name="alice", tier="free", via="key")
    good = await signer.sign(alice)
    await verifier.verify(good)
    assert signer._current is not None
    kid, private = signer._current
    claims = jwt.decode(good, options={"verify_signature": False})
    header = {"kid": kid, "typ": "at+jwt"}

    def token(changed=None, *, headers=header, key=private, algorithm="EdDSA"):
        return jwt.encode(claims | (changed or {}), key, algorithm, headers)

    assert (await verifier.verify(token())).account_id == 1
    stranger = Ed25519PrivateKey.generate()
    bad = {
        "expired": token({"exp": int(time.time()) - 60}),
        "another issuer": token({"iss": "https://elsewhere.example"}),
        "another audience": token({"aud": "elsewhere"}),
        "from the future": token({"iat": int(time.time()) + 600}),
        "no number": token({"sub": "alice"}),
        "too big a number": token({"sub": str(1 << 63)}),
        "an unknown tier": token({"tier": "root"}),
        "another type": token(headers=header | {"typ": "JWT"}),
        "a stranger's signature": token(key=stranger),
        "no signature": token(key=None, algorithm="none"),
        "the public key as a secret": jwt.encode(
            claims, private.public_key().public_bytes_raw().ljust(64, b"="), "HS256", header
        ),
        "changed afterwards": good[:-10] + ("A" if good[-10] != "A" else "B") + good[-9:],
        "endless": good + "A" * 5000,
    }
    answers = await asyncio.gather(*(verifier.verify(each) for each in bad.values()), return_exceptions=True)
    assert [why for why, answer in zip(bad, answers, strict=True) if not isinstance(answer, BadCredential)] == []


async def test_a_verified_token_ends_in_time(process, monkeypatch):
    monkeypatch.setattr(signing, "TOKEN_LIFE", 0)
    token = await process.identity.signer.sign(Principal(account_id=1, name="alice", tier="free", via="key"))
    assert await process.identity.verifier.verify(token)  # within the leeway for clocks that differ
    assert process.identity.verifier.peek(token) is None


async def test_invented_keys_cost_one_load_for_all_who_ask(process):
    loads = []

    async def load():
        loads.append(1)
        return Jwks(keys=[])

    verifier = Verifier(ADDRESS, load)
    stranger = Ed25519PrivateKey.generate()
    tokens = [jwt.encode({}, stranger, "EdDSA", {"kid": str(n), "typ": "at+jwt"}) for n in range(20)]
    answers = await asyncio.gather(*(verifier.verify(token) for token in tokens), return_exceptions=True)
    assert all(isinstance(answer, BadCredential) for answer in answers)
    assert len(loads) == 1


async def test_known_keys_outlast_an_outage_of_their_source(process):
    good = await process.identity.signer.sign(Principal(account_id=1, name="alice", tier="free", via="key"))
    jwks = await process.identity.signer.jwks()
    away = False

    async def load():
        if away:
            raise Unavailable(part="The database")
        return jwks

    verifier = Verifier(ADDRESS, load)
    await verifier.verify(good)
    away = True
    verifier._loaded_at = float("-inf")
    assert (await verifier.verify(good)).name == "alice"
    with pytest.raises(Unavailable):
        await Verifier(ADDRESS, load).verify(good)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.one_of(
        st.text(),
        st.from_regex(r"t[sf]_[0-9A-Za-z]{22}_[0-9A-Za-z]{43}", fullmatch=True),
        st.from_regex(r"[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,60}"),
        st.binary().map(lambda data: f"{jwt.utils.base64url_encode(data).decode()}.e30.AAAA"),
    )
)
@example("eyJhbGciOiJFZERTQSJ9.e30.")
@example("W" * 1500 + ".e30.AAAA")
@example(jwt.utils.base64url_encode(b"[" * 1500).decode() + ".e30.AAAA")
@example(jwt.utils.base64url_encode(b'{"alg":"EdDSA","kid":{},"b64":false,"crit":["b64"]}').decode() + "..AAAA")
async def test_garbage_is_unauthorized_and_nothing_else(process, monkeypatch, token):
    monkeypatch.setattr(signing, "LEARN_EVERY", 0.0)
    with pytest.raises(Unauthorized):
        await process.identity.authenticate_bearer(token)
    headers = [(b"authorization", b"Bearer " + token.encode()), (b"cookie", b"tenfold_session=" + token.encode())]
    with pytest.raises(Unauthorized):
        await process.identity.authenticate({"type": "http", "method": "GET", "headers": headers})
    stranger = await process.identity.authenticate({"type": "http", "method": "GET", "headers": headers[1:]})
    assert stranger.account_id is None
