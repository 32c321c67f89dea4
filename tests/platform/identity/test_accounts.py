"""Signing up and in and out, passwords, sessions: as a browser does it."""

import asyncio

import msgspec
import pytest
from argon2 import PasswordHasher

from tenfold.platform.errors import Invalid
from tenfold.platform.identity import actions, rules, store
from tenfold.platform.identity.errors import CrossSiteRefused, NameTaken, PasswordsBusy
from tenfold.platform.identity.passwords import Passwords
from tenfold.platform.identity.types import ChangePassword, SignIn, SignUp

PASSWORD = "correct horse battery"
ALICE = {"name": "Alice", "password": PASSWORD}


async def test_who_signs_up_is_signed_in(process):
    async with process.visitor() as alice:
        assert (await alice.get("/api/identity/me")).json() == {"account": None}
        signed_up = await alice.post("/api/identity/signup", json=ALICE | {"display_name": "Alice Ω"})
        assert signed_up.status_code == 201
        assert signed_up.headers["cache-control"] == "no-store"
        account = signed_up.json()["account"]
        assert account["name"] == "Alice"
        assert account["display_name"] == "Alice Ω"
        assert account["tier"] == "free"
        assert isinstance(account["id"], str)
        assert (await alice.get("/api/identity/me")).json() == {"account": account}


async def test_the_cookie_is_for_http_only(process):
    async with process.visitor() as alice:
        cookie = (await alice.post("/api/identity/signup", json=ALICE)).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie
    assert "domain" not in cookie


async def test_the_database_holds_neither_password_nor_token(process):
    async with process.visitor() as alice:
        await alice.post("/api/identity/signup", json=ALICE)
        token = alice.cookies["tenfold_session"]
    async with process.identity.db.read() as tx:
        tables = ("account", "account_name", "session")
        dump = str([await tx.value(f"SELECT string_agg(t::text, ' ') FROM platform.{table} t") for table in tables])
    assert "argon2id" in dump
    assert PASSWORD not in dump
    assert token not in dump
    assert rules.digest(token).hex() in dump


async def test_requests_with_passwords_dont_show_them():
    for request in (SignUp(**ALICE), SignIn(**ALICE), ChangePassword(current=PASSWORD, new=PASSWORD)):
        assert PASSWORD not in repr(request)


async def test_sign_out_and_in_again(process):
    async with process.visitor() as alice:
        await alice.post("/api/identity/signup", json=ALICE)
        token = alice.cookies["tenfold_session"]
        signed_out = await alice.post("/api/identity/signout")
        assert signed_out.status_code == 204
        assert not alice.cookies
        stale = {"Cookie": f"tenfold_session={token}"}
        assert (await alice.get("/api/identity/me", headers=stale)).json() == {"account": None}
        # Once more does no harm.
        assert (await alice.post("/api/identity/signout", headers=stale)).status_code == 204
        signed_in = await alice.post("/api/identity/signin", json=ALICE | {"name": "aLICE"})
        assert signed_in.status_code == 200
        assert signed_in.json()["account"]["name"] == "Alice"
        assert alice.cookies["tenfold_session"] != token


async def test_a_name_is_taken_in_any_case(process):
    async with process.visitor() as alice, process.visitor() as eve:
        await alice.post("/api/identity/signup", json=ALICE)
        answer = await eve.post("/api/identity/signup", json={"name": "ALICE", "password": "another long one"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "name_taken"
    assert "name" in answer.json()["fields"]


async def test_a_name_is_given_once_to_many_who_ask_at_once(process):
    signing_up = (actions.create_account(process.identity, "Highlander", f"{PASSWORD} {n}") for n in range(5))
    answers = await asyncio.gather(*signing_up, return_exceptions=True)
    assert sum(isinstance(answer, NameTaken) for answer in answers) == 4


async def test_bad_input_names_the_fields(process):
    async with process.visitor() as eve:
        answer = await eve.post("/api/identity/signup", json={"name": "no spaces", "password": "short"})
        assert answer.status_code == 422
        assert set(answer.json()["fields"]) == {"name", "password"}
        assert "short" not in answer.text.replace("shorter", "")
    with pytest.raises(Invalid) as caught:
        await actions.create_account(process.identity, "alice", PASSWORD, display_name=" \u200b ")
    assert set(caught.value.fields) == {"display_name"}


async def test_a_wrong_password_and_an_unknown_name_look_alike(process):
    async with process.visitor() as eve:
        await actions.create_account(process.identity, **ALICE)
        wrong = await eve.post("/api/identity/signin", json=ALICE | {"password": "wrong password"})
        unknown = await eve.post("/api/identity/signin", json={"name": "nobody", "password": "wrong password"})
        impossible = await eve.post("/api/identity/signin", json={"name": "\u0000 no name", "password": "wrong"})
    assert wrong.status_code == unknown.status_code == impossible.status_code == 401
    assert wrong.json() == unknown.json() == impossible.json()
    assert not eve.cookies


async def test_a_password_for_nobody_is_hashed_like_any_other():
    passwords = Passwords()
    assert not await passwords.verify(None, PASSWORD)
    assert not await passwords.verify("not a hash", PASSWORD)
    passwords.close()


async def test_sign_ins_beyond_the_queue_are_turned_away():
    passwords = Passwords(threads=1, waiting=1)
    answers = await asyncio.gather(*(passwords.verify(None, PASSWORD) for _ in range(4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [bool, bool, PasswordsBusy, PasswordsBusy]
    assert not await passwords.verify(None, PASSWORD)
    passwords.close()


async def test_a_hash_with_old_parameters_is_renewed_at_sign_in(process):
    account = await actions.create_account(process.identity, **ALICE)
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    async with process.identity.db.transaction() as tx:
        await store.rehash(tx, account.id, old)
    async with process.visitor() as alice:
        assert (await alice.post("/api/identity/signin", json=ALICE)).status_code == 200
        async with process.identity.db.read() as tx:
            login = await store.find_login(tx, account.id)
        assert login is not None
        assert not process.identity.passwords.outdated(login.password_hash)
        assert (await alice.post("/api/identity/signin", json=ALICE)).status_code == 200


async def test_a_new_password_ends_the_other_sessions_everywhere(process, start):
    new = {"current": PASSWORD, "new": "Tr0ub4dor and more"}
    async with start() as elsewhere, process.visitor() as laptop, elsewhere.visitor() as phone:
        await laptop.post("/api/identity/signup", json=ALICE)
        await phone.post("/api/identity/signin", json=ALICE)
        assert (await phone.get("/api/identity/me")).json()["account"]

        wrong = await laptop.post("/api/identity/password", json=new | {"current": "wrong"})
        assert wrong.status_code == 422
        assert set(wrong.json()["fields"]) == {"current"}
        weak = await laptop.post("/api/identity/password", json=new | {"new": "password123"})
        assert set(weak.json()["fields"]) == {"new"}

        assert (await laptop.post("/api/identity/password", json=new)).status_code == 204
        assert (await laptop.get("/api/identity/me")).json()["account"]
        await forgotten(phone)
        assert (await phone.post("/api/identity/signin", json=ALICE)).status_code == 401
        assert (await phone.post("/api/identity/signin", json=ALICE | {"password": new["new"]})).status_code == 200


async def test_sessions_are_listed_and_revoked(process, start):
    async with start() as elsewhere, process.visitor() as laptop, elsewhere.visitor() as phone:
        await laptop.post("/api/identity/signup", json=ALICE)
        await phone.post("/api/identity/signin", json=ALICE, headers={"User-Agent": "Phone\x7f/1.0"})
        assert (await phone.get("/api/identity/me")).json()["account"]
        there, here = (await laptop.get("/api/identity/sessions")).json()
        assert (here["current"], there["current"], there["agent"]) == (True, False, "Phone/1.0")

        assert (await laptop.delete(f"/api/identity/sessions/{there['id']}")).status_code == 204
        await forgotten(phone)
        assert len((await laptop.get("/api/identity/sessions")).json()) == 1
        for nothing in (there["id"], "0", "x", "9" * 30):
            assert (await laptop.delete(f"/api/identity/sessions/{nothing}")).status_code == 404


async def test_nobody_ends_the_sessions_of_others(process):
    async with process.visitor() as alice, process.visitor() as eve:
        await alice.post("/api/identity/signup", json=ALICE)
        await eve.post("/api/identity/signup", json=ALICE | {"name": "eve"})
        [session] = (await alice.get("/api/identity/sessions")).json()
        assert (await eve.delete(f"/api/identity/sessions/{session['id']}")).status_code == 404
        assert (await alice.get("/api/identity/me")).json()["account"]


async def test_sign_out_everywhere(process):
    async with process.visitor() as laptop, process.visitor() as phone:
        await laptop.post("/api/identity/signup", json=ALICE)
        await phone.post("/api/identity/signin", json=ALICE)
        assert (await laptop.delete("/api/identity/sessions")).status_code == 204
        assert not laptop.cookies
        assert (await phone.get("/api/identity/me")).json() == {"account": None}
        assert (await phone.get("/api/identity/sessions")).status_code == 401


@pytest.mark.parametrize(
    "aged",
    [
        f"seen_at = now() - interval '{rules.SESSION_IDLE + 1} seconds'",
        f"created_at = now() - interval '{rules.SESSION_LIFE + 1} seconds'",
    ],
)
async def test_a_session_ends_by_itself(process, start, aged):
    async with process.visitor() as alice:
        await alice.post("/api/identity/signup", json=ALICE)
        cookies = dict(alice.cookies)
    async with process.identity.db.transaction() as tx:
        await tx.execute(f"UPDATE platform.session SET {aged}")
    async with start() as elsewhere, elsewhere.visitor() as alice:
        alice.cookies.update(cookies)
        assert (await alice.get("/api/identity/me")).json() == {"account": None}
        assert await actions.sweep_sessions(elsewhere.identity) == 1
        assert await actions.sweep_sessions(elsewhere.identity) == 0


async def test_a_session_that_ends_while_it_is_cached_ends_in_time(process):
    async with process.visitor() as alice:
        await alice.post("/api/identity/signup", json=ALICE)
        assert (await alice.get("/api/identity/me")).json()["account"]
        token = rules.read_token(alice.cookies["tenfold_session"])
        known = process.identity.credentials.peek(token.public_id)
        process.identity.credentials._entries[token.public_id].value = msgspec.structs.replace(known, ends_at=0.0)
        assert (await alice.get("/api/identity/me")).json() == {"account": None}


async def test_use_keeps_a_session_alive(process, start):
    async with process.visitor() as alice:
        await alice.post("/api/identity/signup", json=ALICE)
        cookies = dict(alice.cookies)
    async with process.identity.db.transaction() as tx:
        await tx.execute("UPDATE platform.session SET seen_at = now() - interval '29 days'")
    async with start() as elsewhere, elsewhere.visitor() as alice:
        alice.cookies.update(cookies)
        assert (await alice.get("/api/identity/me")).json()["account"]
        async with elsewhere.identity.db.read() as tx:
            assert await tx.value("SELECT now() - seen_at < interval '1 minute' FROM platform.session")


async def test_an_account_has_so_many_sessions_at_most(process, monkeypatch):
    monkeypatch.setattr(rules, "MAX_SESSIONS", 2)
    async with process.visitor() as first, process.visitor() as second, process.visitor() as third:
        await first.post("/api/identity/signup", json=ALICE)
        await second.post("/api/identity/signin", json=ALICE)
        assert (await first.get("/api/identity/me")).json()["account"]
        await third.post("/api/identity/signin", json=ALICE)
        assert (await first.get("/api/identity/me")).json() == {"account": None}
        assert len((await third.get("/api/identity/sessions")).json()) == 2


async def test_a_signed_in_request_asks_nobody(process):
    async with process.visitor() as alice:
        await alice.post("/api/identity/signup", json=ALICE)
        scope = {
            "type": "http",
            "method": "GET",
            "headers": [(b"cookie", f"a=b; tenfold_session={alice.cookies['tenfold_session']}".encode())],
        }
    first = await process.identity.authenticate(scope)
    with pytest.raises(StopIteration) as stop:  # it runs through without waiting for anything
        process.identity.authenticate(scope).send(None)
    assert stop.value.value == first
    assert (first.name, first.tier, first.via) == ("Alice", "free", "cookie")


async def test_passwords_can_be_guessed_only_so_often(start):
    async with start(limits={"identity.signin.name": "5/hour"}) as process:
        await actions.create_account(process.identity, **ALICE)
        answers = []
        for n in range(6):  # from an address of its own each
            async with process.visitor(f"192.0.2.{n}") as eve:
                answers.append(await eve.post("/api/identity/signin", json=ALICE | {"password": f"guess number {n}"}))
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0


@pytest.mark.parametrize(("door", "refused"), [("signin", 401), ("signup", 422)])
async def test_an_address_can_try_only_so_much(start, door, refused):
    async with (
        start(limits={f"identity.{door}.address": "5/hour"}) as process,
        process.visitor() as eve,
        process.visitor("198.51.100.1") as alice,
    ):
        tries = ({"name": f"name_{n}", "password": "x"} for n in range(6))
        answers = [await eve.post(f"/api/identity/{door}", json=each) for each in tries]
        assert [answer.status_code for answer in answers] == [refused] * 5 + [429]
        assert (await alice.post("/api/identity/signup", json=ALICE)).status_code == 201


@pytest.mark.parametrize("site", ["https://evil.example", "http://links.localhost:8080", "null"])
async def test_pages_of_other_sites_act_for_nobody(process, site):
    async with process.visitor() as alice, process.visitor(browser=False) as curl:
        await alice.post("/api/identity/signup", json=ALICE)
        foreign = {"Origin": site}
        for method, path in (("POST", "signout"), ("POST", "keys"), ("DELETE", "sessions"), ("POST", "password")):
            answer = await alice.request(method, f"/api/identity/{path}", headers=foreign)
            assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_refused")
        # Nor do they sign a visitor in.
        for path in ("signin", "signup"):
            answer = await alice.post(f"/api/identity/{path}", json=ALICE, headers=foreign)
            assert answer.json()["code"] == "cross_site_refused"
        # Reading is another matter: the browser doesn't show them the answer.
        assert (await alice.get("/api/identity/me", headers=foreign)).json()["account"]
        # A cookie without a word about its page is refused; a client that is no browser signs in all the same.
        curl.cookies.update(alice.cookies)
        assert (await curl.delete("/api/identity/sessions")).status_code == 403
        assert (await curl.post("/api/identity/signin", json=ALICE)).status_code == 200


async def test_a_websocket_is_opened_by_our_pages_only(process):
    async with process.visitor() as alice:
        await alice.post("/api/identity/signup", json=ALICE)
        cookie = (b"cookie", f"tenfold_session={alice.cookies['tenfold_session']}".encode())
    host = (b"host", b"localhost:8080")
    ours = {"type": "websocket", "headers": [host, cookie, (b"origin", b"http://localhost:8080")]}
    theirs = {"type": "websocket", "headers": [host, cookie, (b"origin", b"http://evil.example")]}
    assert (await process.identity.authenticate(ours)).name == "Alice"
    with pytest.raises(CrossSiteRefused):
        await process.identity.authenticate(theirs)


async def forgotten(browser):
    """Wait until the broadcast of a revocation has reached a process."""
    async with asyncio.timeout(5):
        while (await browser.get("/api/identity/me")).json()["account"]:
            pass


async def test_names_are_found_by_their_beginning(db):
    async with db.transaction() as tx:
        for number, name in enumerate(("an_n", "ann", "ann_b", "annb", "bann", "zann")):
            await store.insert_name(tx, name, number)
            await store.insert_account(tx, number, name, name, "free", "hash")
        assert await store.list_named(tx, "ann", 9) == [1, 2, 3]
        assert await store.list_named(tx, "ann", 2) == [1, 2]
        assert await store.list_named(tx, "ann_", 9) == [2]
        assert await store.list_named(tx, "zannb", 9) == []
        found = await store.list_accounts(tx, [1, 3, 99])
        assert sorted(each.name for each in found) == ["ann", "annb"]
