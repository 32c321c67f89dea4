"""What can be done with accounts, sessions and keys. Passwords are hashed outside of transactions."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tenfold.platform.db import Tx
from tenfold.platform.errors import Invalid, NotFound, Unauthorized
from tenfold.platform.identity import rules, store
from tenfold.platform.identity.access import Identity
from tenfold.platform.identity.errors import (
    CredentialNeeded,
    NameTaken,
    SessionNeeded,
    TooManyKeys,
    WrongPassword,
)
from tenfold.platform.identity.passwords import NOBODY
from tenfold.platform.identity.types import (
    Account,
    ApiKey,
    ChangePassword,
    Login,
    Principal,
    Session,
    SignIn,
    SignUp,
    Tier,
)
from tenfold.platform.limits import Limit

#: Passwords are guessed from many addresses at one name, or from one address at many names.
SIGN_IN_BY_NAME = Limit(name="identity.signin.name", rates={"anonymous": "30/hour"})
SIGN_IN_BY_ADDRESS = Limit(name="identity.signin.address", rates={"anonymous": "100/hour"})
SIGN_UP_BY_ADDRESS = Limit(name="identity.signup.address", rates={"anonymous": "30/hour"})


class SignedIn(NamedTuple):
    account: Account
    #: For the session cookie; shown to nobody else.
    token: str


class CheckedLogin(NamedTuple):
    """Whose password was right, and the same password hashed anew if the hash is of an older kind."""

    login: Login
    rehashed: str | None


class NewKey(NamedTuple):
    key: ApiKey
    #: To be shown once.
    token: str


async def create_account(
    identity: Identity, name: str, password: str, tier: Tier = "free", display_name: str | None = None
) -> Account:
    """A new account. Raises Invalid with the fields, NameTaken."""
    display_name = name if display_name is None else display_name.strip()
    problems = {
        "name": rules.name_problem(name),
        "password": rules.password_problem(password, name),
        "display_name": rules.label_problem(display_name) if display_name != name else None,
    }
    refuse(problems)
    password_hash = await identity.passwords.hash(password)
    async with identity.db.transaction() as tx:
        account_id = identity.ids.next()
        if not await store.insert_name(tx, rules.folded(name), account_id):
            raise NameTaken(name=name, fields={"name": "This name is taken."})
        return await store.insert_account(tx, account_id, name, display_name, tier, password_hash)


async def import_accounts(identity: Identity, rows: Sequence[tuple[str, str]]) -> list[int | None]:
    """Many accounts at once, as (name, display name), of people who can't sign in until set_password is called.

    The id of each; None where the name is taken (or stands in an earlier row), or either can't be a name. A few
    thousand rows make one call of a good size: they are one transaction.
    """
    ids: list[int | None] = []
    names: dict[str, int] = {}
    records: list[tuple[int, str, str, Tier, str]] = []
    for name, display_name in rows:
        folded = rules.folded(name)
        if folded in names or rules.name_problem(name) or rules.label_problem(display_name):
            ids.append(None)
            continue
        names[folded] = account_id = identity.ids.next()
        ids.append(account_id)
        records.append((account_id, name, display_name, "free", NOBODY))
    async with identity.db.transaction() as tx:
        # In order, so that two imports that share names wait for each other instead of standing in each other's way.
        new = await store.insert_names(tx, sorted(names.items()))
        await store.insert_accounts(tx, [record for record in records if record[0] in new])
    return [account_id if account_id in new else None for account_id in ids]


async def set_password(identity: Identity, name: str, password: str) -> None:
    """A new password for the account of this name, for whoever operates the machine. Ends all its sessions.

    Raises Invalid with the field, NotFound.
    """
    refuse({"password": rules.password_problem(password, name)})
    password_hash = await identity.passwords.hash(password)
    async with identity.db.transaction() as tx:
        account_id = await store.find_account_id(tx, rules.folded(name))
        if account_id is None:
            raise NotFound
        await store.change_password(tx, account_id, password_hash)
        ended = await store.delete_sessions(tx, account_id)
    await identity.revoked(rules.SESSION, account_id, ended)


async def sign_up(identity: Identity, data: SignUp, *, ip: str, agent: str) -> SignedIn:
    """A new account, signed in. Raises what create_account does, and TooManyRequests."""
    await identity.limits.take(SIGN_UP_BY_ADDRESS, ip)
    account = await create_account(identity, data.name, data.password, display_name=data.display_name)
    return await _open_session(identity, account.id, agent)


async def sign_in(identity: Identity, data: SignIn, *, ip: str, agent: str) -> SignedIn:
    """A new session. Raises what check_password does."""
    checked = await check_password(identity, data, ip=ip)
    return await _open_session(identity, checked.login.id, agent, checked)


async def check_password(identity: Identity, data: SignIn, *, ip: str) -> CheckedLogin:
    """Whose name and password these are. Whoever relies on it calls confirm_password in the transaction that does.

    Raises TooManyRequests, and WrongPassword in the same words and time for a name nobody has.
    """
    await identity.limits.take(SIGN_IN_BY_ADDRESS, ip)
    login = None
    if rules.name_problem(data.name) is None:
        name = rules.folded(data.name)
        await identity.limits.take(SIGN_IN_BY_NAME, name)
        async with identity.db.read(fresh=True) as tx:
            account_id = await store.find_account_id(tx, name)
            login = None if account_id is None else await store.find_login(tx, account_id)
    right = await identity.passwords.verify(login.password_hash if login else None, data.password)
    if login is None or not right:
        raise WrongPassword
    outdated = identity.passwords.outdated(login.password_hash)
    return CheckedLogin(login, await identity.passwords.hash(data.password) if outdated else None)


async def confirm_password(tx: Tx, checked: CheckedLogin) -> None:
    """Raises WrongPassword when the password was changed after it was checked: that change has ended all sessions."""
    await _lock_unchanged(tx, checked.login)
    if checked.rehashed is not None:
        await store.rehash(tx, checked.login.id, checked.rehashed)


async def sign_out(identity: Identity, principal: Principal) -> None:
    """End the session that asks. Nothing happens to a stranger."""
    if principal.via != "cookie":
        return
    account_id, session_id = session_of(principal)
    async with identity.db.transaction() as tx:
        await store.delete_session(tx, account_id, session_id)
    await identity.revoked(rules.SESSION, account_id, [session_id])


async def change_password(identity: Identity, principal: Principal, data: ChangePassword) -> None:
    """Set a new password and end all other sessions. API keys stay. Raises Invalid with the fields, TooManyRequests."""
    account_id, session_id = session_of(principal)
    name = principal.name or ""
    refuse({"new": rules.password_problem(data.new, name)})
    await identity.limits.take(SIGN_IN_BY_NAME, rules.folded(name))
    async with identity.db.read(fresh=True) as tx:
        login = await store.find_login(tx, account_id)
    if login is None or not await identity.passwords.verify(login.password_hash, data.current):
        raise Invalid(fields={"current": "This isn't your password."})
    password_hash = await identity.passwords.hash(data.new)
    async with identity.db.transaction() as tx:
        await _lock_unchanged(tx, login)
        await store.change_password(tx, account_id, password_hash)
        ended = await store.delete_sessions(tx, account_id, but=session_id)
    await identity.revoked(rules.SESSION, account_id, ended)


async def list_sessions(identity: Identity, principal: Principal) -> list[Session]:
    """Where the account is signed in, the last seen first. Raises SessionNeeded."""
    account_id, _ = session_of(principal)
    async with identity.db.read(fresh=True) as tx:
        return await store.list_sessions(tx, account_id, rules.SESSION_IDLE, rules.SESSION_LIFE)


async def revoke_session(identity: Identity, principal: Principal, id: int) -> None:
    """End one session of the account. Raises NotFound."""
    account_id, _ = session_of(principal)
    async with identity.db.transaction() as tx:
        if not await store.delete_session(tx, account_id, id):
            raise NotFound
    await identity.revoked(rules.SESSION, account_id, [id])


async def revoke_sessions(identity: Identity, principal: Principal) -> None:
    """Sign out everywhere, here too."""
    account_id, _ = session_of(principal)
    async with identity.db.transaction() as tx:
        ended = await store.delete_sessions(tx, account_id)
    await identity.revoked(rules.SESSION, account_id, ended)


async def sweep_sessions(identity: Identity) -> int:
    """Delete sessions that have ended, of everybody; for a schedule. How many."""
    async with identity.db.transaction() as tx:
        return await store.delete_ended_sessions(tx, rules.SESSION_IDLE, rules.SESSION_LIFE)


async def list_keys(identity: Identity, principal: Principal) -> list[ApiKey]:
    """The account's API keys, the newest first. Raises SessionNeeded."""
    account_id, _ = session_of(principal)
    async with identity.db.read(fresh=True) as tx:
        return await store.list_keys(tx, account_id)


async def add_key(identity: Identity, principal: Principal, name: str) -> NewKey:
    """A new API key. Raises Invalid with the field, TooManyKeys, SessionNeeded."""
    account_id, _ = session_of(principal)
    return await _add_key(identity, account_id, name)


async def create_key(identity: Identity, account_name: str, name: str = "command line") -> NewKey:
    """A new API key for the account of this name, for whoever operates the machine. Raises NotFound."""
    async with identity.db.read(fresh=True) as tx:
        account_id = await store.find_account_id(tx, rules.folded(account_name))
    if account_id is None:
        raise NotFound
    return await _add_key(identity, account_id, name)


async def revoke_key(identity: Identity, principal: Principal, id: int) -> None:
    """Raises NotFound, SessionNeeded."""
    account_id, _ = session_of(principal)
    async with identity.db.transaction() as tx:
        if not await store.delete_key(tx, account_id, id):
            raise NotFound
    await identity.revoked(rules.KEY, account_id, [id])


async def find_account(identity: Identity, principal: Principal) -> Account | None:
    """The account that asks; None for a stranger."""
    if principal.account_id is None:
        return None
    async with identity.db.read(fresh=True) as tx:
        return await store.find_account(tx, principal.account_id)


async def find_named_account(identity: Identity, name: str) -> Account | None:
    """The account of this name, for whoever operates the machine."""
    async with identity.db.read(fresh=True) as tx:
        account_id = await store.find_account_id(tx, rules.folded(name))
        return None if account_id is None else await store.find_account(tx, account_id)


async def issue_token(identity: Identity, principal: Principal) -> str:
    """An access token, good for rules.TOKEN_LIFE seconds. Raises Unauthorized, CredentialNeeded."""
    if principal.account_id is None:
        raise Unauthorized
    if principal.via in ("token", "oauth"):
        raise CredentialNeeded
    return await identity.signer.sign(principal)


async def _open_session(
    identity: Identity, account_id: int, agent: str, checked: CheckedLogin | None = None
) -> SignedIn:
    session_id = identity.ids.next()
    token = rules.new_token(rules.SESSION, account_id, session_id)
    async with identity.db.transaction() as tx:
        if checked is not None:
            await confirm_password(tx, checked)
        await store.insert_session(tx, account_id, session_id, rules.digest(token), rules.shown_agent(agent))
        pushed_out = await store.delete_idlest_sessions(tx, account_id, rules.MAX_SESSIONS)
        account = await store.find_account(tx, account_id)
    assert account is not None  # the session refers to it
    await identity.revoked(rules.SESSION, account_id, pushed_out)
    return SignedIn(account, token)


async def _lock_unchanged(tx: Tx, login: Login) -> None:
    """Raises WrongPassword when the password isn't what was read before."""
    current = await store.lock_login(tx, login.id)
    if current is None or current.password_changed_at != login.password_changed_at:
        raise WrongPassword


async def _add_key(identity: Identity, account_id: int, name: str) -> NewKey:
    refuse({"name": rules.label_problem(name)})
    key_id = identity.ids.next()
    token = rules.new_token(rules.KEY, account_id, key_id)
    async with identity.db.transaction() as tx:
        await store.lock_login(tx, account_id)  # so that keys made at once are counted one after the other
        if await store.count_keys(tx, account_id) >= rules.MAX_KEYS:
            raise TooManyKeys(limit=rules.MAX_KEYS)
        return NewKey(await store.insert_key(tx, account_id, key_id, rules.digest(token), name), token)


def session_of(principal: Principal) -> tuple[int, int]:
    """The account and the session that ask. Raises Unauthorized, SessionNeeded."""
    if principal.account_id is None:
        raise Unauthorized
    if principal.via != "cookie" or principal.credential_id is None:
        raise SessionNeeded
    return principal.account_id, principal.credential_id


def refuse(problems: Mapping[str, str | None]) -> None:
    """Raises Invalid when there are any."""
    fields = {field: problem for field, problem in problems.items() if problem}
    if fields:
        raise Invalid(fields=fields)
