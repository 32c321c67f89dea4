"""SQL of identity. Takes a transaction, returns structs, decides nothing."""

from collections.abc import Sequence

import msgspec

from tenfold.platform.db import Tx
from tenfold.platform.identity.types import Account, ApiKey, Holding, Login, Session, SigningKey, Tier


class _Id(msgspec.Struct):
    id: int


async def insert_name(tx: Tx, folded: str, account_id: int) -> bool:
    """Take a name. False when it is taken."""
    sql = "INSERT INTO platform.account_name (name, account_id) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
    return await tx.execute(sql, folded, account_id) == 1


async def insert_account(tx: Tx, id: int, name: str, display_name: str, tier: Tier, password_hash: str) -> Account:
    sql = """INSERT INTO platform.account (id, name, display_name, tier, password_hash) VALUES ($1, $2, $3, $4, $5)
             RETURNING id, name, display_name, tier, created_at"""
    return await tx.one(Account, sql, id, name, display_name, tier, password_hash)


async def insert_names(tx: Tx, names: Sequence[tuple[str, int]]) -> set[int]:
    """Take many names for these accounts. The accounts whose names weren't taken."""
    sql = """INSERT INTO platform.account_name (name, account_id) SELECT * FROM unnest($1::text[], $2::bigint[])
             ON CONFLICT (name) DO NOTHING RETURNING account_id AS id"""
    rows = await tx.rows(_Id, sql, [name for name, _ in names], [account_id for _, account_id in names])
    return {row.id for row in rows}


async def insert_accounts(tx: Tx, records: Sequence[tuple[int, str, str, Tier, str]]) -> int:
    """Many accounts, as insert_account takes them. How many."""
    return await tx.copy("platform.account", ["id", "name", "display_name", "tier", "password_hash"], records)


async def find_account_id(tx: Tx, folded: str) -> int | None:
    found: int | None = await tx.value("SELECT account_id FROM platform.account_name WHERE name = $1", folded)
    return found


async def find_account(tx: Tx, id: int) -> Account | None:
    sql = "SELECT id, name, display_name, tier, created_at FROM platform.account WHERE id = $1"
    return await tx.find(Account, sql, id)


async def list_accounts(tx: Tx, ids: Sequence[int]) -> list[Account]:
    """Those of the accounts that are there, in no order."""
    sql = "SELECT id, name, display_name, tier, created_at FROM platform.account WHERE id = ANY($1)"
    return await tx.rows(Account, sql, ids)


async def list_named(tx: Tx, beginning: str, limit: int) -> list[int]:
    """The accounts whose names begin so, in the order of these. `beginning` is folded, as names are there."""
    # No letter of a name is behind "~", so this is a range of the index, whatever the plan is made for.
    sql = """SELECT account_id AS id FROM platform.account_name
             WHERE name ~>=~ $1 AND name ~<~ ($1 || '~') ORDER BY name USING ~<~ LIMIT $2"""
    return [row.id for row in await tx.rows(_Id, sql, beginning, limit)]


async def find_login(tx: Tx, id: int) -> Login | None:
    return await tx.find(Login, "SELECT id, password_hash, password_changed_at FROM platform.account WHERE id = $1", id)


async def lock_login(tx: Tx, id: int) -> Login | None:
    """The same, with the row locked against other changes of the password."""
    sql = "SELECT id, password_hash, password_changed_at FROM platform.account WHERE id = $1 FOR UPDATE"
    return await tx.find(Login, sql, id)


async def rehash(tx: Tx, id: int, password_hash: str) -> None:
    """Keep the same password under stronger parameters."""
    await tx.execute("UPDATE platform.account SET password_hash = $2 WHERE id = $1", id, password_hash)


async def change_password(tx: Tx, id: int, password_hash: str) -> None:
    sql = "UPDATE platform.account SET password_hash = $2, password_changed_at = clock_timestamp() WHERE id = $1"
    await tx.execute(sql, id, password_hash)


async def insert_session(tx: Tx, account_id: int, id: int, digest: bytes, agent: str) -> None:
    sql = "INSERT INTO platform.session (account_id, id, digest, agent) VALUES ($1, $2, $3, $4)"
    await tx.execute(sql, account_id, id, digest, agent)


async def find_session(tx: Tx, account_id: int, id: int, idle: int, life: int) -> Holding | None:
    """A session and its account. Sessions that have ended are found too, with nothing left of them."""
    sql = """SELECT s.digest, a.name, a.tier, extract(epoch FROM now() - s.seen_at)::float8 AS unseen_seconds,
                    extract(epoch FROM least(s.seen_at + make_interval(secs => $3),
                                             s.created_at + make_interval(secs => $4)) - now())::float8 AS left_seconds
             FROM platform.session s JOIN platform.account a ON a.id = s.account_id
             WHERE s.account_id = $1 AND s.id = $2"""
    return await tx.find(Holding, sql, account_id, id, idle, life)


async def list_sessions(tx: Tx, account_id: int, idle: int, life: int) -> list[Session]:
    """Those that are alive, the last seen first."""
    sql = """SELECT id, agent, created_at, seen_at FROM platform.session
             WHERE account_id = $1 AND seen_at > now() - make_interval(secs => $2)
                   AND created_at > now() - make_interval(secs => $3)
             ORDER BY seen_at DESC, id DESC"""
    return await tx.rows(Session, sql, account_id, idle, life)


async def note_session_seen(tx: Tx, account_id: int, id: int, every: int) -> None:
    """Keep when a session was last seen, unless that was noted less than `every` seconds ago."""
    sql = """UPDATE platform.session SET seen_at = now()
             WHERE account_id = $1 AND id = $2 AND seen_at <= now() - make_interval(secs => $3)"""
    await tx.execute(sql, account_id, id, every)


async def delete_session(tx: Tx, account_id: int, id: int) -> bool:
    return await tx.execute("DELETE FROM platform.session WHERE account_id = $1 AND id = $2", account_id, id) == 1


async def delete_sessions(tx: Tx, account_id: int, *, but: int | None = None) -> list[int]:
    """All sessions of an account, or all but one. Which."""
    sql = "DELETE FROM platform.session WHERE account_id = $1 AND id IS DISTINCT FROM $2 RETURNING id"
    return [row.id for row in await tx.rows(_Id, sql, account_id, but)]


async def delete_idlest_sessions(tx: Tx, account_id: int, keep: int) -> list[int]:
    """All but the `keep` sessions that were seen last. Which."""
    sql = """DELETE FROM platform.session WHERE account_id = $1 AND id IN (
                 SELECT id FROM platform.session WHERE account_id = $1 ORDER BY seen_at DESC, id DESC OFFSET $2)
             RETURNING id"""
    return [row.id for row in await tx.rows(_Id, sql, account_id, keep)]


async def delete_ended_sessions(tx: Tx, idle: int, life: int) -> int:
    """Sessions of all accounts that have ended. How many."""
    sql = """DELETE FROM platform.session WHERE seen_at < now() - make_interval(secs => $1)
                                               OR created_at < now() - make_interval(secs => $2)"""
    return await tx.execute(sql, idle, life)


async def insert_key(tx: Tx, account_id: int, id: int, digest: bytes, name: str) -> ApiKey:
    sql = """INSERT INTO platform.api_key (account_id, id, digest, name) VALUES ($1, $2, $3, $4)
             RETURNING account_id, id, name, created_at, used_at"""
    return await tx.one(ApiKey, sql, account_id, id, digest, name)


async def count_keys(tx: Tx, account_id: int) -> int:
    count: int = await tx.value("SELECT count(*) FROM platform.api_key WHERE account_id = $1", account_id)
    return count


async def find_key(tx: Tx, account_id: int, id: int) -> Holding | None:
    """A key and its account."""
    sql = """SELECT k.digest, a.name, a.tier, extract(epoch FROM now() - k.used_at)::float8 AS unseen_seconds,
                    NULL::float8 AS left_seconds
             FROM platform.api_key k JOIN platform.account a ON a.id = k.account_id
             WHERE k.account_id = $1 AND k.id = $2"""
    return await tx.find(Holding, sql, account_id, id)


async def list_keys(tx: Tx, account_id: int) -> list[ApiKey]:
    """The newest first."""
    sql = (
        "SELECT account_id, id, name, created_at, used_at FROM platform.api_key WHERE account_id = $1 ORDER BY id DESC"
    )
    return await tx.rows(ApiKey, sql, account_id)


async def note_key_used(tx: Tx, account_id: int, id: int, every: int) -> None:
    """Keep when a key was last used, unless that was noted less than `every` seconds ago."""
    sql = """UPDATE platform.api_key SET used_at = now()
             WHERE account_id = $1 AND id = $2 AND (used_at IS NULL OR used_at <= now() - make_interval(secs => $3))"""
    await tx.execute(sql, account_id, id, every)


async def delete_key(tx: Tx, account_id: int, id: int) -> bool:
    return await tx.execute("DELETE FROM platform.api_key WHERE account_id = $1 AND id = $2", account_id, id) == 1


async def lock_signing_keys(tx: Tx) -> None:
    """Let one process at a time decide about signing keys."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtext('platform.signing_key'))")


async def list_signing_keys(tx: Tx) -> list[SigningKey]:
    """The newest first."""
    sql = """SELECT kid, public, sealed, extract(epoch FROM now() - created_at)::float8 AS age_seconds
             FROM platform.signing_key ORDER BY created_at DESC, kid"""
    return await tx.rows(SigningKey, sql)


async def insert_signing_key(tx: Tx, kid: str, public: bytes, sealed: bytes) -> None:
    sql = "INSERT INTO platform.signing_key (kid, public, sealed, created_at) VALUES ($1, $2, $3, clock_timestamp())"
    await tx.execute(sql, kid, public, sealed)


async def delete_superseded_signing_keys(tx: Tx, after: int) -> int:
    """Keys that another has followed more than `after` seconds ago. How many."""
    sql = """DELETE FROM platform.signing_key old USING platform.signing_key next
             WHERE next.created_at > old.created_at AND next.created_at < now() - make_interval(secs => $1)"""
    return await tx.execute(sql, after)
