"""Accounts made in bulk, and the passwords that an operator sets."""

import asyncio

import pytest

from tenfold.platform.errors import Invalid, NotFound
from tenfold.platform.identity import actions, store
from tenfold.platform.identity.errors import NameTaken, WrongPassword
from tenfold.platform.identity.types import SignIn

PASSWORD = "correct horse battery"


async def sign_in(process, name: str, password: str = PASSWORD):
    return await actions.sign_in(process.identity, SignIn(name=name, password=password), ip="203.0.113.7", agent="")


async def test_thousands_of_accounts_come_at_once(process):
    rows = [(f"Person_{number}", f"Person {number}") for number in range(5000)]
    ids = await actions.import_accounts(process.identity, rows)
    assert None not in ids
    assert len(set(ids)) == 5000
    async with process.identity.db.read() as tx:
        assert await store.find_account_id(tx, "person_4321") == ids[4321]
        account = await store.find_account(tx, ids[4321])
        assert (account.name, account.display_name, account.tier) == ("Person_4321", "Person 4321", "free")
        assert await tx.value("SELECT count(*) FROM platform.account") == 5000
    assert await actions.import_accounts(process.identity, rows) == [None] * 5000, "all of them are there"
    assert await actions.import_accounts(process.identity, []) == []


async def test_rows_that_cant_be_accounts_are_none(process):
    await actions.create_account(process.identity, "Alice", PASSWORD)
    rows = [("ALICE", "Taken"), ("no spaces", "x"), ("bob", ""), ("Bob", "Bob"), ("bob", "Twice"), ("a\0b", "x")]
    ids = await actions.import_accounts(process.identity, rows)
    assert [made is None for made in ids] == [True, True, True, False, True, True]
    async with process.identity.db.read() as tx:
        assert await tx.value("SELECT array_agg(display_name) FROM platform.account WHERE name = 'Bob'") == ["Bob"]
    with pytest.raises(NameTaken):
        await actions.create_account(process.identity, "bob", PASSWORD)


async def test_imports_of_the_same_people_at_once_share_them(process):
    rows = [(f"person_{number}", "Person") for number in range(500)]
    imports = (actions.import_accounts(process.identity, part) for part in (rows, rows[::-1], rows[250:] + rows[:250]))
    answers = await asyncio.gather(*imports)
    assert sum(made is not None for ids in answers for made in ids) == 500


async def test_who_was_imported_signs_in_once_there_is_a_password(process):
    [account_id] = await actions.import_accounts(process.identity, [("Alice", "Alice")])
    for guess in ("", PASSWORD, "!"):
        with pytest.raises(WrongPassword):
            await sign_in(process, "alice", guess)
    await actions.set_password(process.identity, "ALICE", PASSWORD)
    assert (await sign_in(process, "alice")).account.id == account_id


async def test_an_operators_password_ends_sessions(process):
    await actions.create_account(process.identity, "alice", PASSWORD)
    key = (await actions.create_key(process.identity, "alice")).token
    async with process.visitor() as browser:
        await browser.post("/api/identity/signin", json={"name": "alice", "password": PASSWORD})
        assert (await browser.get("/api/identity/me")).json()["account"]
        await actions.set_password(process.identity, "alice", "another long password")
        assert (await browser.get("/api/identity/me")).json() == {"account": None}
    with pytest.raises(WrongPassword):
        await sign_in(process, "alice")
    await sign_in(process, "alice", "another long password")
    assert (await process.identity.authenticate_bearer(key)).name == "alice", "keys stay"


async def test_passwords_that_an_operator_cant_set(process):
    await actions.create_account(process.identity, "alice", PASSWORD)
    with pytest.raises(Invalid) as caught:
        await actions.set_password(process.identity, "alice", "short")
    assert set(caught.value.fields) == {"password"}
    with pytest.raises(NotFound):
        await actions.set_password(process.identity, "nobody", PASSWORD)
    await sign_in(process, "alice")
