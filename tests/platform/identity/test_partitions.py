"""Proof that the hot queries of identity each touch one partition: on copies of the tables, partitioned as declared."""

import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from tenfold.platform.db import Database, Tx
from tenfold.platform.identity import rules, store
from tenfold.platform.identity.oauth import store as oauth
from tenfold.platform.identity.oauth.types import Grant
from tenfold.platform.migrate import distributions, migrations_of

PARTITIONS = 8


class Explained:
    """A connection that notes which partitions the plan of each statement touches, and then runs it."""

    def __init__(self, connection):
        self._connection = connection
        self.touched = []

    def __getattr__(self, name):
        async def run(sql, *args):
            plan = await self._connection.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *args)
            self.touched.append(sorted(partitions_in(json.loads(plan))))
            return await getattr(self._connection, name)(sql, *args)

        return run


def partitions_in(plan):
    if isinstance(plan, list):
        return {name for each in plan for name in partitions_in(each)}
    if not isinstance(plan, dict):
        return set()
    name = plan.get("Relation Name", "")
    own = {name} if name[-1:].isdigit() else set()
    return own | {name for each in plan.values() for name in partitions_in(each)}


@pytest.fixture
async def tx(db: Database) -> AsyncIterator[Tx]:
    async with db.transaction() as tx:
        for each in distributions(migrations_of("tenfold.platform")):
            schema, _, name = each.table.partition(".")
            if each.key is None or not name.startswith(("account", "session", "api_key", "oauth")):
                continue
            await tx.script(f"""
                ALTER TABLE {each.table} RENAME TO {name}_whole;
                CREATE TABLE {each.table} (LIKE {schema}.{name}_whole INCLUDING ALL) PARTITION BY HASH ({each.key})""")
            for n in range(PARTITIONS):
                await tx.script(f"""
                    CREATE TABLE {each.table}_{n} PARTITION OF {each.table}
                    FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {n})""")
        yield tx


@pytest.mark.parametrize("seed", [1, 1 << 40, (1 << 63) - 1])
async def test_hot_queries_touch_one_partition_of_each_table(tx, seed):
    account_id, own_id = seed, seed // 3
    explained = Explained(tx.connection)
    hot = Tx(explained)
    await store.insert_name(hot, f"alice_{seed}", account_id)
    await store.insert_account(hot, account_id, "alice", "Alice", "free", "hash")
    await store.insert_session(hot, account_id, own_id, b"digest", "browser")
    await store.insert_key(hot, account_id, own_id, b"digest", "laptop")
    assert await store.find_account_id(hot, f"alice_{seed}") == account_id
    assert await store.find_account(hot, account_id)
    assert await store.find_login(hot, account_id)
    assert await store.lock_login(hot, account_id)
    assert await store.find_session(hot, account_id, own_id, rules.SESSION_IDLE, rules.SESSION_LIFE)
    assert await store.find_key(hot, account_id, own_id)
    assert await store.list_sessions(hot, account_id, rules.SESSION_IDLE, rules.SESSION_LIFE)
    assert await store.list_keys(hot, account_id)
    assert await store.count_keys(hot, account_id) == 1
    await store.note_session_seen(hot, account_id, own_id, 0)
    await store.note_key_used(hot, account_id, own_id, 0)
    await store.rehash(hot, account_id, "hash")
    await store.change_password(hot, account_id, "hash")
    assert await store.delete_idlest_sessions(hot, account_id, 0) == [own_id]
    assert await store.delete_sessions(hot, account_id) == []
    assert await store.delete_session(hot, account_id, own_id) is False
    assert await store.delete_key(hot, account_id, own_id)

    grant = Grant(account_id=account_id, id=own_id, application_id=own_id, scopes=["read"], code_digest=b"code")
    given = msgspec.structs.replace(grant, access_id=own_id, access_digest=b"access")
    await oauth.insert_application(hot, own_id, "Client", None, ["app://callback"], ["read"], b"secret")
    await oauth.insert_application_access(hot, own_id, own_id, b"digest", ["read"])
    await oauth.insert_grant(hot, grant)
    await oauth.give_access(hot, given, None)
    assert await oauth.find_application(hot, own_id)
    assert await oauth.find_application_access(hot, own_id, own_id)
    assert await oauth.find_access(hot, account_id, own_id)
    assert await oauth.find_grant_of_access(hot, account_id, own_id)
    assert await oauth.lock_grant(hot, account_id, own_id)
    assert await oauth.list_grants(hot, account_id)
    await oauth.note_application_used(hot, own_id, 0)
    await oauth.note_access_used(hot, account_id, own_id, 0)
    assert await oauth.delete_oldest_application_accesses(hot, own_id, 0) == [own_id]
    await oauth.delete_application_access(hot, own_id, own_id)
    assert await oauth.delete_idlest_grants(hot, account_id, 0) == [own_id]
    assert await oauth.delete_grants_to(hot, account_id, own_id) == []
    await oauth.delete_grant(hot, account_id, own_id)

    of_each_table = [{name.rpartition("_")[0] for name in touched} for touched in explained.touched]
    assert [len(touched) for touched in explained.touched] == [len(tables) for tables in of_each_table]
    oauth_tables = {"oauth_application", "oauth_application_access", "oauth_grant"}
    assert set().union(*of_each_table) == {"account_name", "account", "session", "api_key"} | oauth_tables
    for touched in explained.touched:  # sessions, keys and grants lie on the server of their account
        assert len({name.rpartition("_")[2] for name in touched}) <= 1
