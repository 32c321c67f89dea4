"""SQL of OAuth. Takes a transaction, returns structs, decides nothing."""

from collections.abc import Sequence

import msgspec

from tenfold.platform.db import Tx
from tenfold.platform.identity.oauth.types import Application, Grant, GrantSummary, StoredApplication
from tenfold.platform.identity.types import Holding


class _Id(msgspec.Struct):
    id: int


class _AccessId(msgspec.Struct):
    access_id: int | None


async def insert_application(
    tx: Tx,
    id: int,
    name: str,
    website: str | None,
    redirect_uris: Sequence[str],
    scopes: Sequence[str],
    secret_digest: bytes | None,
) -> Application:
    sql = """INSERT INTO platform.oauth_application (id, name, website, redirect_uris, scopes, secret_digest)
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id, name, website, redirect_uris, scopes, created_at"""
    return await tx.one(Application, sql, id, name, website, redirect_uris, scopes, secret_digest)


async def find_application(tx: Tx, id: int) -> StoredApplication | None:
    sql = """SELECT id, name, website, redirect_uris, scopes, created_at, secret_digest
             FROM platform.oauth_application WHERE id = $1"""
    return await tx.find(StoredApplication, sql, id)


async def list_applications(tx: Tx, ids: Sequence[int]) -> list[Application]:
    sql = """SELECT id, name, website, redirect_uris, scopes, created_at
             FROM platform.oauth_application WHERE id = ANY($1::bigint[])"""
    return await tx.rows(Application, sql, ids)


async def note_application_used(tx: Tx, id: int, every: int) -> None:
    """Keep when an application was last used, unless that was noted less than `every` seconds ago."""
    sql = """UPDATE platform.oauth_application SET used_at = now()
             WHERE id = $1 AND used_at <= now() - make_interval(secs => $2)"""
    await tx.execute(sql, id, every)


async def list_idle_applications(tx: Tx, idle: int, after: int, most: int) -> list[int]:
    """Ids greater than `after`, in order, of applications that weren't used for so many seconds."""
    sql = """SELECT id FROM platform.oauth_application
             WHERE used_at < now() - make_interval(secs => $1) AND id > $2 ORDER BY id LIMIT $3"""
    return [row.id for row in await tx.rows(_Id, sql, idle, after, most)]


async def list_granted(tx: Tx, application_ids: Sequence[int]) -> set[int]:
    """Which of these applications any account has granted anything."""
    sql = "SELECT DISTINCT application_id AS id FROM platform.oauth_grant WHERE application_id = ANY($1::bigint[])"
    return {row.id for row in await tx.rows(_Id, sql, application_ids)}


async def delete_idle_applications(tx: Tx, ids: Sequence[int], idle: int) -> int:
    """Those of them that still weren't used. How many."""
    sql = """DELETE FROM platform.oauth_application
             WHERE id = ANY($1::bigint[]) AND used_at < now() - make_interval(secs => $2)"""
    return await tx.execute(sql, ids, idle)


async def insert_application_access(tx: Tx, application_id: int, id: int, digest: bytes, scopes: Sequence[str]) -> None:
    sql = """INSERT INTO platform.oauth_application_access (application_id, id, digest, scopes)
             VALUES ($1, $2, $3, $4)"""
    await tx.execute(sql, application_id, id, digest, scopes)


async def find_application_access(tx: Tx, application_id: int, id: int) -> Holding | None:
    """A token that an application has for itself. What is unseen is the application."""
    sql = """SELECT t.digest, NULL AS name, NULL AS tier, t.application_id, t.scopes,
                    extract(epoch FROM now() - a.used_at)::float8 AS unseen_seconds, NULL::float8 AS left_seconds
             FROM platform.oauth_application_access t JOIN platform.oauth_application a ON a.id = t.application_id
             WHERE t.application_id = $1 AND t.id = $2"""
    return await tx.find(Holding, sql, application_id, id)


async def delete_application_access(tx: Tx, application_id: int, id: int) -> None:
    sql = "DELETE FROM platform.oauth_application_access WHERE application_id = $1 AND id = $2"
    await tx.execute(sql, application_id, id)


async def delete_oldest_application_accesses(tx: Tx, application_id: int, keep: int) -> list[int]:
    """All but the `keep` newest tokens of an application. Which."""
    sql = """DELETE FROM platform.oauth_application_access WHERE application_id = $1 AND id IN (
                 SELECT id FROM platform.oauth_application_access WHERE application_id = $1 ORDER BY id DESC OFFSET $2)
             RETURNING id"""
    return [row.id for row in await tx.rows(_Id, sql, application_id, keep)]


async def insert_grant(tx: Tx, grant: Grant) -> None:
    """Keep what an account has just allowed, before any token is given for it."""
    sql = """INSERT INTO platform.oauth_grant
                 (account_id, id, application_id, scopes, code_digest, redirect_uri, challenge)
             VALUES ($1, $2, $3, $4, $5, $6, $7)"""
    await tx.execute(
        sql,
        grant.account_id,
        grant.id,
        grant.application_id,
        grant.scopes,
        grant.code_digest,
        grant.redirect_uri,
        grant.challenge,
    )


async def lock_grant(tx: Tx, account_id: int, id: int) -> Grant | None:
    """A grant, locked against being exchanged or renewed twice at once."""
    sql = """SELECT account_id, id, application_id, scopes, code_digest, redirect_uri, challenge, access_id,
                    access_digest, refresh_digest, family_digest,
                    extract(epoch FROM now() - created_at)::float8 AS age_seconds
             FROM platform.oauth_grant WHERE account_id = $1 AND id = $2 FOR UPDATE"""
    return await tx.find(Grant, sql, account_id, id)


async def find_grant_of_access(tx: Tx, account_id: int, access_id: int) -> Grant | None:
    """The grant behind a token."""
    sql = """SELECT account_id, id, application_id, scopes, access_id, access_digest
             FROM platform.oauth_grant WHERE account_id = $1 AND access_id = $2"""
    return await tx.find(Grant, sql, account_id, access_id)


async def find_access(tx: Tx, account_id: int, access_id: int) -> Holding | None:
    """A token and the account that it acts for. One that has ended is found too, with nothing left of it."""
    sql = """SELECT g.access_digest AS digest, a.name, a.tier, g.application_id, g.scopes,
                    extract(epoch FROM now() - g.used_at)::float8 AS unseen_seconds,
                    extract(epoch FROM g.access_ends_at - now())::float8 AS left_seconds
             FROM platform.oauth_grant g JOIN platform.account a ON a.id = g.account_id
             WHERE g.account_id = $1 AND g.access_id = $2"""
    return await tx.find(Holding, sql, account_id, access_id)


async def give_access(tx: Tx, grant: Grant, life: int | None) -> None:
    """Keep the token of a grant, good for so many seconds (None: until it is revoked), and what renews it."""
    sql = """UPDATE platform.oauth_grant SET access_id = $3, access_digest = $4, refresh_digest = $5,
                    family_digest = $6, access_ends_at = now() + make_interval(secs => $7)
             WHERE account_id = $1 AND id = $2"""
    digests = grant.access_digest, grant.refresh_digest, grant.family_digest
    await tx.execute(sql, grant.account_id, grant.id, grant.access_id, *digests, life)


async def note_access_used(tx: Tx, account_id: int, access_id: int, every: int) -> None:
    """Keep when a token was last used, unless that was noted less than `every` seconds ago."""
    sql = """UPDATE platform.oauth_grant SET used_at = now() WHERE account_id = $1 AND access_id = $2
                    AND (used_at IS NULL OR used_at <= now() - make_interval(secs => $3))"""
    await tx.execute(sql, account_id, access_id, every)


async def list_grants(tx: Tx, account_id: int) -> list[GrantSummary]:
    """Those for which a token was given, the newest first."""
    sql = """SELECT application_id, scopes, created_at, used_at FROM platform.oauth_grant
             WHERE account_id = $1 AND access_id IS NOT NULL ORDER BY id DESC"""
    return await tx.rows(GrantSummary, sql, account_id)


async def delete_grant(tx: Tx, account_id: int, id: int) -> None:
    await tx.execute("DELETE FROM platform.oauth_grant WHERE account_id = $1 AND id = $2", account_id, id)


async def delete_grants_to(tx: Tx, account_id: int, application_id: int) -> list[int | None]:
    """All that an account has granted an application. The ids of the tokens, None for a code."""
    sql = "DELETE FROM platform.oauth_grant WHERE account_id = $1 AND application_id = $2 RETURNING access_id"
    return [row.access_id for row in await tx.rows(_AccessId, sql, account_id, application_id)]


async def delete_idlest_grants(tx: Tx, account_id: int, keep: int) -> list[int | None]:
    """All but the `keep` grants of an account that were used or made last. The ids of the tokens, None for a code."""
    sql = """DELETE FROM platform.oauth_grant WHERE account_id = $1 AND id IN (
                 SELECT id FROM platform.oauth_grant WHERE account_id = $1
                 ORDER BY coalesce(used_at, created_at) DESC, id DESC OFFSET $2)
             RETURNING access_id"""
    return [row.access_id for row in await tx.rows(_AccessId, sql, account_id, keep)]


async def delete_ended_codes(tx: Tx, life: int) -> int:
    """Codes of all accounts that nobody came for in so many seconds. How many."""
    sql = """DELETE FROM platform.oauth_grant
             WHERE access_id IS NULL AND created_at < now() - make_interval(secs => $1)"""
    return await tx.execute(sql, life)
