"""The partition proof: on copies of all tables, spread by their declared keys, each hot query touches one partition.

So the same SQL runs on a cluster that spreads tables over servers, and asks one server for what happens often.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tenfold.app import packages
from tenfold.contracts.links import LinksChanged
from tenfold.contracts.messages.entities import AddDevice, OneTimeKey
from tenfold.platform import outbox
from tenfold.platform.bus.consumers import _note as note_handled
from tenfold.platform.db import Database, Tx, open_database
from tenfold.platform.identity import rules as identity_rules
from tenfold.platform.identity import store as identity
from tenfold.platform.jobs import store as jobs
from tenfold.platform.migrate import Migration, distributions, migrations_of
from tenfold.platform.settings import Secret
from tenfold.platform.testing import Engines, fresh_database
from tenfold.systems.answers.store import asking, chunks, experiments
from tenfold.systems.answers.store import chunks as answers_chunks
from tenfold.systems.answers.store import library as answers_library
from tenfold.systems.answers.types.experiments import Experiment, Outcome
from tenfold.systems.answers.types.library import StoredUpload
from tenfold.systems.chat.store import files, memory, threads, usage
from tenfold.systems.chat.store.memory import Summary
from tenfold.systems.chat.types import Message, Spent, StoredFile
from tenfold.systems.links import rules, store
from tenfold.systems.links.types import StoredLink
from tenfold.systems.messages import types as messages_types
from tenfold.systems.messages.store import backups, conversations, devices, inbox, media, people, waking
from tenfold.systems.messages.store.backups import PartRow
from tenfold.systems.messages.store.devices import Owned

PARTITIONS = 8
MIGRATIONS = [migration for package in packages() for migration in migrations_of(package)]
DISTRIBUTED = {each.table: each.key for each in distributions(MIGRATIONS) if each.key is not None}
REFERENCES = {each.table for each in distributions(MIGRATIONS) if each.key is None}

_TABLE = re.compile(
    r"^-- distribute: (?P<table>\w+\.\w+) by (?P<key>\w+)\n"
    r"CREATE TABLE (?P=table) \((?P<columns>.*?)\n\)(?P<storage> WITH \([^)]*\))?;",
    re.DOTALL | re.MULTILINE,
)
NOW = datetime.now(UTC)

type Query = Callable[[Tx], Awaitable[object]]


def spread(migration: Migration) -> str:
    """A migration whose distributed tables are partitioned by their keys, nothing else changed."""

    def partitioned(found: re.Match[str]) -> str:
        table, key, columns, storage = found["table"], found["key"], found["columns"], found["storage"] or ""
        parts = [
            f"CREATE TABLE {table}_p{n} PARTITION OF {table} FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {n})"
            f"{storage};"
            for n in range(PARTITIONS)
        ]
        return f"CREATE TABLE {table} ({columns}\n) PARTITION BY HASH ({key});\n" + "\n".join(parts)

    sql, count = _TABLE.subn(partitioned, migration.sql)
    declared = [each for each in distributions([migration]) if each.key is not None]
    assert count == len(declared), f"{migration.file}: a declaration isn't directly above its table"
    return sql


async def test_every_table_says_how_it_is_spread(engines: Engines) -> None:
    async with fresh_database(engines, packages()) as db, db.read() as tx:
        names = await tx.connection.fetch(
            """SELECT schemaname || '.' || tablename FROM pg_tables
               WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"""
        )
    tables = {name for (name,) in names} - {"platform.migration"}
    assert tables == {*DISTRIBUTED, *REFERENCES}
    assert not {*DISTRIBUTED} & REFERENCES


@pytest.mark.parametrize("table", DISTRIBUTED)
async def test_the_key_is_in_every_unique_key(engines: Engines, table: str) -> None:
    sql = """SELECT i.indexrelid::regclass::text, array_agg(a.attname::text) FROM pg_index i
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
             WHERE i.indrelid = $1::text::regclass AND i.indisunique GROUP BY 1"""
    async with fresh_database(engines, packages()) as db, db.read() as tx:
        indexes = await tx.connection.fetch(sql, table)
    assert indexes, "a distributed table has a primary key"
    for index, columns in indexes:
        assert DISTRIBUTED[table] in columns, index


# --- hot queries ----------------------------------------------------------------------------------------------------


class Explained:
    """A connection that explains each statement, with its arguments, before it runs it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.planned: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def run(sql: str, *args: object) -> Any:
            plan = await self._connection.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *args)
            self.planned |= relations(json.loads(plan))
            return await getattr(self._connection, name)(sql, *args)

        return run


def relations(plan: Any) -> set[str]:
    """The names of all relations that a plan scans or changes."""
    if isinstance(plan, list):
        return {name for each in plan for name in relations(each)}
    if not isinstance(plan, dict):
        return set()
    own = {plan["Relation Name"]} if "Relation Name" in plan else set()
    return own | {name for each in plan.values() for name in relations(each)}


async def partitions_of(db: Database, query: Query) -> dict[str, set[str]]:
    """The partitions that a query touches, of each table, in a transaction of its own.

    Those of its plans; and those that it has locked, since no plan tells where rows are inserted.
    """
    locked = """SELECT DISTINCT c.relname::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                WHERE l.pid = pg_backend_pid() AND c.relispartition AND c.relkind = 'r'"""
    async with db.transaction() as tx:
        explained = Explained(tx.connection)
        await query(Tx(explained))  # type: ignore[arg-type]
        names = {name for (name,) in await tx.connection.fetch(locked)} | explained.planned
    touched: dict[str, set[str]] = {}
    for name in names:
        if found := re.fullmatch(r"(\w+)_p\d+", name):
            touched.setdefault(found[1], set()).add(name)
    return touched


@pytest.fixture(scope="module")
async def spread_out(engines: Engines) -> AsyncIterator[Database]:
    """A database whose distributed tables are partitioned by their keys, with some rows."""
    url = await engines.database(())
    db = await open_database(engines.settings(database_url=Secret(url)))
    async with db.transaction() as tx:
        for migration in MIGRATIONS:
            await tx.script(spread(migration))
    async with db.transaction() as tx:
        for number in range(40):
            await store.insert_link(tx, link(f"filler-{number}"))
            await store.add_clicks(tx, {(f"filler-{number}", rules.hour_of(NOW), "", ""): rules.Row(clicks=1)})
            await identity.insert_account(tx, number, f"filler{number}", "", "free", "hash")
        await store.insert_link(tx, link("docs"))
        await identity.insert_account(tx, ACCOUNT, "alice", "Alice", "free", "hash")
        await identity.insert_name(tx, "alice", ACCOUNT)
        await identity.insert_session(tx, ACCOUNT, 1, b"digest", "browser")
        await identity.insert_key(tx, ACCOUNT, 2, b"digest", "laptop")
        for number in range(40):
            await jobs.insert_job(tx, f"queue-{number % 9}", number, "tests-job", ACCOUNT, 2, 0, b"{}", 0.0)
        for number in (*range(1, 40), ACCOUNT):
            await threads.insert_thread(tx, number, THREAD, "Owls", "auto", named=True)
            await threads.insert_message(tx, number, message(10, None))
            await threads.insert_message(tx, number, message(11, "10"))
            await files.insert_file(tx, number, FILE)
            await answers_library.insert_collection(tx, number, ACCOUNT, "Notes", "")
            await answers_library.insert_upload(tx, upload(number))
        for number in (*range(40), ACCOUNT):
            await people.lock_people(tx, [number])
            await devices.insert_device(tx, number, number + 1, ADDED)
            await devices.add_keys(tx, number, number + 1, [ADDED.fallback_key], 200)
            await devices.set_push(tx, number, number + 1, {})
            waits = "INSERT INTO messages.inbox VALUES ($1, $2, 7, 1, 'id', 1, 1, 0, 1, 0, 'x')"
            await tx.execute(waits, number, number + 1)
            made = await conversations.insert_conversation(tx, number, "group")
            await conversations.add_members(tx, made, [number, ACCOUNT], "admin")
            await media.insert_upload(tx, f"{number}", ACCOUNT, 3, 1, 24)
        for number in (*range(101, 140), COLLECTION):
            await answers_chunks.insert_collection(tx, number, ACCOUNT, f"collection {number}")
        await asking.insert_conversation(tx, ACCOUNT, CONVERSATION, COLLECTION, "Why?")
    yield db
    await db.close()
    await engines.drop(url)


def upload(collection_id: int, number: int = 5) -> StoredUpload:
    return StoredUpload(
        collection_id=collection_id, id=number, account_id=ACCOUNT, name=f"{number}.md", source="", media_type="",
        tags=[], size=1, digest=b"digest", key="a.md",
    )  # fmt: skip


def link(code: str) -> StoredLink:
    return StoredLink(code=code, id=7, owner_id=ACCOUNT, url="https://example.org/", max_clicks=9, clicks_left=9)


def message(number: int, parent_id: str | None) -> Message:
    return Message(
        id=str(number), thread_id=str(THREAD), parent_id=parent_id, role="assistant" if parent_id else "user",
        text="Owls", status="streaming" if parent_id else "complete", created_at=NOW,
    )  # fmt: skip


ACCOUNT = 1 << 40
THREAD = 7
FILE = StoredFile(id="5", name="a.txt", type="text/plain", size=1, key="a", text="a", tokens=1, how="text")
ASKED = threads.Asked(10, 11)
VECTOR = [0.5] * 384
COLLECTION, CONVERSATION = 1 << 41, 1 << 40
OUTCOME = Outcome(id=1, account_id=ACCOUNT, conversation_id=1, state="answered", took=1.0, shown=5)
EXPERIMENT = Experiment(
    id="3", collection_id=str(COLLECTION), name="a", unit="account", metric="clicks", variants=(), needed=9,
    begun_at=NOW,
)  # fmt: skip
SPENT = [Spent(ACCOUNT, NOW.date(), model, 1, 2, 3, 4) for model in ("fast", "smart")]
TODAY = NOW.date()
VISITS = [("docs", TODAY, visitor) for visitor in range(50)]
ROWS = {
    ("docs", rules.hour_of(NOW) - timedelta(hours=hours), "country", value): rules.Row(clicks=1)
    for hours in range(20)
    for value in ("DE", "US")
}
BEAT = jobs.Beat("queue-1", 1, 1, 0.0, None, "", None)
HOT: dict[str, tuple[set[str], Query]] = {
    "find_link": ({"link"}, lambda tx: store.find_link(tx, "docs")),
    "find_links": ({"link"}, lambda tx: store.find_links(tx, ["docs"])),
    "lock_link": ({"link"}, lambda tx: store.lock_link(tx, "docs")),
    "insert_link": ({"link"}, lambda tx: store.insert_link(tx, link("another"))),
    "insert_link (taken)": ({"link"}, lambda tx: store.insert_link(tx, link("docs"))),
    "update_link": ({"link"}, lambda tx: store.update_link(tx, link("docs"))),
    "take_clicks": ({"link"}, lambda tx: store.take_clicks(tx, "docs", 2, NOW)),
    "add_clicks": ({"hourly"}, lambda tx: store.add_clicks(tx, ROWS)),
    "add_visitors": ({"visitor"}, lambda tx: store.add_visitors(tx, VISITS)),
    "list_counts": ({"hourly", "daily"}, lambda tx: store.list_counts(tx, "docs", NOW - timedelta(days=9), NOW)),
    "list_totals": ({"hourly"}, lambda tx: store.list_totals(tx, rules.of_owner(ACCOUNT), NOW - timedelta(days=1))),
    "list_sums": ({"hourly", "daily"}, lambda tx: store.list_sums(tx, ["docs"])),
    "delete_link": ({"link", "hourly", "daily", "visitor"}, lambda tx: store.delete_link(tx, "another")),
    "find_account_id": ({"account_name"}, lambda tx: identity.find_account_id(tx, "alice")),
    "find_login": ({"account"}, lambda tx: identity.find_login(tx, ACCOUNT)),
    "find_session": (
        {"account", "session"},
        lambda tx: identity.find_session(tx, ACCOUNT, 1, identity_rules.SESSION_IDLE, identity_rules.SESSION_LIFE),
    ),
    "find_key": ({"account", "api_key"}, lambda tx: identity.find_key(tx, ACCOUNT, 2)),
    "note_session_seen": ({"session"}, lambda tx: identity.note_session_seen(tx, ACCOUNT, 1, 0)),
    "note_key_used": ({"api_key"}, lambda tx: identity.note_key_used(tx, ACCOUNT, 2, 0)),
    "find_line": ({"job"}, lambda tx: jobs.find_line(tx, "queue-1", 2, ACCOUNT, 200)),
    "insert_job": ({"job"}, lambda tx: jobs.insert_job(tx, "queue-1", 99, "tests-job", ACCOUNT, 2, 1, b"{}", 0.0)),
    "list_heads": ({"job"}, lambda tx: jobs.list_heads(tx, "queue-1", ["tests-job"], 4)),
    "lease_first": ({"job"}, lambda tx: jobs.lease_first(tx, "queue-1", [1, 10], "a-worker", 6.0)),
    "hold_attempt": ({"job"}, lambda tx: jobs.hold_attempt(tx, "queue-1", 1, 1, 6.0)),
    "save_checkpoint": ({"job"}, lambda tx: jobs.save_checkpoint(tx, "queue-1", 1, 1, b"7")),
    "end_attempt": ({"job"}, lambda tx: jobs.end_attempt(tx, BEAT, "done")),
    "the inbox": ({"inbox"}, lambda tx: note_handled(tx, "a-consumer", {"an-event": cast("Any", None)})),
    "the outbox": ({"outbox"}, lambda tx: outbox.emit(tx, LinksChanged(codes=["docs"]))),
}


#: What answering in a conversation takes.
HOT |= {
    "find_thread": ({"thread"}, lambda tx: threads.find_thread(tx, ACCOUNT, THREAD)),
    "list_threads": ({"thread"}, lambda tx: threads.list_threads(tx, ACCOUNT, "", None, 50)),
    "list_threads (found)": ({"thread", "message"}, lambda tx: threads.list_threads(tx, ACCOUNT, "'owl':*", None, 50)),
    "touch_thread": ({"thread"}, lambda tx: threads.touch_thread(tx, ACCOUNT, THREAD, 11)),
    "find_asked": ({"idempotency"}, lambda tx: threads.find_asked(tx, ACCOUNT, THREAD, "key")),
    "insert_asked": ({"idempotency", "thread"}, lambda tx: threads.insert_asked(tx, ACCOUNT, THREAD, "key", ASKED)),
    "find_message": ({"message"}, lambda tx: threads.find_message(tx, ACCOUNT, 10)),
    "insert_message": ({"message", "thread"}, lambda tx: threads.insert_message(tx, ACCOUNT, message(12, "11"))),
    "list_messages": ({"message"}, lambda tx: threads.list_messages(tx, ACCOUNT, THREAD, 2000)),
    "count_messages": ({"message"}, lambda tx: threads.count_messages(tx, ACCOUNT, THREAD)),
    "count_open": ({"message"}, lambda tx: threads.count_open(tx, ACCOUNT)),
    "save_progress": ({"message"}, lambda tx: threads.save_progress(tx, ACCOUNT, 11, "Owls", "streaming", "fast")),
    "end_message": ({"message"}, lambda tx: threads.end_message(tx, ACCOUNT, message(11, "10"), "it broke")),
    "list_path": ({"message"}, lambda tx: memory.list_path(tx, ACCOUNT, 11, 200)),
    "list_near": ({"message", "turn"}, lambda tx: memory.list_near(tx, ACCOUNT, THREAD, 11, VECTOR, 16)),
    "insert_turns": ({"thread", "turn"}, lambda tx: memory.insert_turns(tx, ACCOUNT, THREAD, [(11, VECTOR)])),
    "find_summary": ({"summary"}, lambda tx: memory.find_summary(tx, ACCOUNT, THREAD, [10, 11])),
    "insert_summary": (
        {"summary", "thread"},
        lambda tx: memory.insert_summary(tx, ACCOUNT, THREAD, 11, Summary("Owls", 2)),
    ),
    "attach_files": ({"file", "thread"}, lambda tx: files.attach_files(tx, ACCOUNT, [5], THREAD)),
    "list_files": ({"file", "message"}, lambda tx: files.list_files(tx, ACCOUNT, [10, 11])),
    "list_shown": ({"file", "message"}, lambda tx: files.list_shown(tx, ACCOUNT, THREAD)),
    "add_usage": ({"usage"}, lambda tx: usage.add_usage(tx, SPENT)),
    "count_tokens": ({"usage"}, lambda tx: usage.count_tokens(tx, ACCOUNT, NOW.date())),
}


PREKEY = OneTimeKey(id="a", key="k" * 43, signature="s" * 86)
ADDED = AddDevice(
    name="laptop", identity_key="i" * 43, signing_key="s" * 43, signature="g" * 86, fallback_key=PREKEY,
)  # fmt: skip
OWNED = Owned(ACCOUNT, ACCOUNT + 1)
GROUP = 7
#: What it takes to read a conversation, to begin sessions, to wake somebody, and to send a file.
HOT |= {
    "find_conversation (messages)": ({"conversation"}, lambda tx: conversations.find_conversation(tx, GROUP)),
    "lock_conversation (of groups)": ({"conversation"}, lambda tx: conversations.lock_conversation(tx, GROUP)),
    "raise_revisions (of groups)": ({"conversation"}, lambda tx: conversations.raise_revisions(tx, [GROUP])),
    "is_member (of groups)": ({"member"}, lambda tx: conversations.is_member(tx, GROUP, ACCOUNT)),
    "list_members (of groups)": ({"member"}, lambda tx: conversations.list_members(tx, [GROUP])),
    "list_standings": ({"member"}, lambda tx: conversations.list_standings(tx, GROUP)),
    "set_blocks": ({"member"}, lambda tx: conversations.set_blocks(tx, GROUP, ACCOUNT, blocks=True)),
    "add_member_device": (
        {"member", "member_device"},
        lambda tx: conversations.add_member_device(tx, [GROUP], ACCOUNT, 99),
    ),
    "list_memberships": ({"membership"}, lambda tx: conversations.list_memberships(tx, ACCOUNT, 0, 100)),
    "find_direct": ({"membership"}, lambda tx: conversations.find_direct(tx, ACCOUNT, 3)),
    "find_begun": ({"begun"}, lambda tx: conversations.find_begun(tx, ACCOUNT, "key")),
    "delete_member": (
        {"member", "member_device", "membership"},
        lambda tx: conversations.delete_member(tx, GROUP, ACCOUNT),
    ),
    "lock_people": ({"person"}, lambda tx: people.lock_people(tx, [ACCOUNT])),
    "blocks": ({"block"}, lambda tx: people.blocks(tx, ACCOUNT, 7)),
    "insert_block": ({"block"}, lambda tx: people.insert_block(tx, ACCOUNT, 7)),
    "list_devices": ({"device"}, lambda tx: devices.list_devices(tx, ACCOUNT)),
    "take_keys": ({"one_time_key"}, lambda tx: devices.take_keys(tx, [OWNED])),
    "list_fallbacks": ({"device"}, lambda tx: devices.list_fallbacks(tx, [OWNED])),
    "count_keys": ({"one_time_key"}, lambda tx: devices.count_keys(tx, [OWNED])),
    "insert_waking": ({"device", "waking"}, lambda tx: waking.insert_waking(tx, [ACCOUNT], 4)),
    "add_pushes": ({"device", "inbox", "note", "push"}, lambda tx: waking.add_pushes(tx, [ACCOUNT], 0)),
    "delete_device": (
        {"device", "inbox", "note", "one_time_key", "push"},
        lambda tx: devices.delete_device(tx, ACCOUNT, OWNED.id),
    ),
    "find_upload (messages)": ({"upload"}, lambda tx: media.find_upload(tx, "7")),
    "add_part": ({"upload"}, lambda tx: media.add_part(tx, "7", 1)),
    "add_stored": ({"stored"}, lambda tx: media.add_stored(tx, ACCOUNT, 1, 2)),
    "put_part": (
        {"backup", "backup_part"},
        lambda tx: backups.put_part(tx, ACCOUNT, PartRow(1, 1, 1, "a.bin")),
    ),
    "find_part": ({"backup", "backup_part"}, lambda tx: backups.find_part(tx, ACCOUNT, 1)),
}


READ = answers_library.Read(title="Owls", kind="text", pages=0, text="Owls", blocks=b"[]")
PREPARED = [answers_library.Prepared(b"digest", b"")]
#: What it takes that a document comes in, and that somebody looks at it.
HOT |= {
    "owns_collection": ({"collection"}, lambda tx: answers_library.owns_collection(tx, ACCOUNT, 7)),
    "find_collection": ({"collection", "upload"}, lambda tx: answers_library.find_collection(tx, ACCOUNT, 7)),
    "lock_collection": ({"collection"}, lambda tx: answers_library.lock_collection(tx, ACCOUNT, 7)),
    "insert_upload": ({"collection", "upload"}, lambda tx: answers_library.insert_upload(tx, upload(7, 6))),
    "find_upload": ({"upload"}, lambda tx: answers_library.find_upload(tx, 7, 5)),
    "find_by_name": ({"upload"}, lambda tx: answers_library.find_by_name(tx, 7, "5.md")),
    "find_by_digest": ({"upload"}, lambda tx: answers_library.find_by_digest(tx, 7, b"digest")),
    "list_uploads": ({"upload"}, lambda tx: answers_library.list_uploads(tx, 7, None, None, 50)),
    "set_state": ({"upload"}, lambda tx: answers_library.set_state(tx, 7, 5, 1, "reading", "", 0.5)),
    "insert_prepared": ({"prepared", "upload"}, lambda tx: answers_library.insert_prepared(tx, 7, 5, PREPARED)),
    "put_reading": ({"reading", "upload"}, lambda tx: answers_library.put_reading(tx, 7, 5, READ)),
    "set_ready": ({"upload"}, lambda tx: answers_library.set_ready(tx, 7, 5, 1, READ, 1, 1)),
    "doom": ({"doomed"}, lambda tx: answers_library.doom(tx, 7, ["a.md"], 60)),
    "spare": ({"doomed"}, lambda tx: answers_library.spare(tx, 7, ["a.md"])),
    "list_chunks": ({"chunk", "document"}, lambda tx: chunks.list_chunks(tx, 7, [1])),
}
#: What a question takes of figures and experiments.
HOT |= {
    "find_running": ({"experiment"}, lambda tx: experiments.find_running(tx, COLLECTION)),
    "insert_experiment": (
        {"collection", "experiment"},
        lambda tx: experiments.insert_experiment(tx, COLLECTION, 3, EXPERIMENT),
    ),
    "insert_outcome": ({"collection", "outcome"}, lambda tx: experiments.insert_outcome(tx, COLLECTION, OUTCOME)),
    "add_click": ({"outcome"}, lambda tx: experiments.add_click(tx, COLLECTION, 1, 1)),
    "update_feedback": ({"outcome"}, lambda tx: experiments.update_feedback(tx, COLLECTION, 1, good=True)),
    "update_accepted": ({"outcome"}, lambda tx: experiments.update_accepted(tx, COLLECTION, 1)),
    "list_tallies": ({"outcome"}, lambda tx: experiments.list_tallies(tx, COLLECTION, NOW - timedelta(days=9))),
    "list_counted": (
        {"outcome"},
        lambda tx: experiments.list_counted(tx, COLLECTION, ["3:a"], "conversation"),
    ),
    "insert_question": (
        {"conversation", "question"},
        lambda tx: asking.insert_question(tx, ACCOUNT, 9, CONVERSATION, COLLECTION, "Why?"),
    ),
    "list_questions": ({"question"}, lambda tx: asking.list_questions(tx, ACCOUNT, CONVERSATION, 3)),
    "save_answer": ({"question"}, lambda tx: asking.save_answer(tx, ACCOUNT, 9, b"{}")),
    "save_feedback": ({"question"}, lambda tx: asking.save_feedback(tx, ACCOUNT, 9, True, "")),
    "find_conversation": ({"conversation"}, lambda tx: asking.find_conversation(tx, ACCOUNT, CONVERSATION)),
    "list_conversations": (
        {"conversation"},
        lambda tx: asking.list_conversations(tx, ACCOUNT, COLLECTION, None, 30),
    ),
    "find_revision": ({"segment", "dead"}, lambda tx: asking.find_revision(tx, COLLECTION)),
}


TALK, DEVICE = 1 << 42, 1 << 40
SEALED = messages_types.Sealed(TALK, ACCOUNT, DEVICE, "message-1", 1, "sealed", {})
STORED = messages_types.Stored(7, 1000, new=True)
MARK = messages_types.Mark(TALK, ACCOUNT, 3)
NOTE = messages_types.Sealed(TALK, ACCOUNT, DEVICE, "note-0001", 0, None, {DEVICE: (0, "sealed")})
#: What a message takes that is sent, read out of an inbox, and acknowledged.
HOT |= {
    "lock_conversations": ({"conversation"}, lambda tx: inbox.lock_conversations(tx, [TALK])),
    "list_sent": ({"sent"}, lambda tx: inbox.list_sent(tx, [SEALED])),
    "list_members": ({"member", "member_device"}, lambda tx: inbox.list_members(tx, [TALK])),
    "add_messages": (
        {"sent", "conversation", "inbox"},
        lambda tx: inbox.add_messages(tx, [(SEALED, STORED, {DEVICE: ACCOUNT})], [2000]),
    ),
    "add_sent_note": ({"sent"}, lambda tx: inbox.add_sent_note(tx, NOTE, 1000)),
    "add_notes": ({"note"}, lambda tx: inbox.add_notes(tx, NOTE, [(ACCOUNT, DEVICE, 5)], 1000, 2000)),
    "list_inbox": ({"inbox"}, lambda tx: inbox.list_inbox(tx, ACCOUNT, DEVICE, (0, 0), 1000, 256)),
    "list_notes": ({"note"}, lambda tx: inbox.list_notes(tx, ACCOUNT, DEVICE, 0, 1000, 256)),
    "lock_marks": ({"member"}, lambda tx: inbox.lock_marks(tx, [(TALK, ACCOUNT)])),
    "delete_acknowledged": (
        {"inbox", "note"},
        lambda tx: inbox.delete_acknowledged(
            tx, [messages_types.Ackable(ACCOUNT, DEVICE, TALK, 7), messages_types.Ackable(ACCOUNT, DEVICE, 0, 5)]
        ),
    ),
    "move_delivered": ({"member", "sent"}, lambda tx: inbox.move_delivered(tx, [(MARK, 7)])),
    "lock_read": ({"member"}, lambda tx: inbox.lock_read(tx, TALK, ACCOUNT)),
    "move_read": ({"member", "sent"}, lambda tx: inbox.move_read(tx, TALK, ACCOUNT, 3, 7)),
}


@pytest.mark.parametrize("name", HOT)
async def test_a_hot_query_touches_one_partition_of_each_table(spread_out: Database, name: str) -> None:
    tables, query = HOT[name]
    touched = await partitions_of(spread_out, query)
    assert {table: len(partitions) for table, partitions in touched.items()} == dict.fromkeys(tables, 1)


async def test_what_touches_them_all_is_seen(spread_out: Database) -> None:
    everywhere = await partitions_of(spread_out, lambda tx: store.count_links(tx, ACCOUNT))
    assert {table: len(partitions) for table, partitions in everywhere.items()} == {"link": PARTITIONS}
    inserted = await partitions_of(
        spread_out, lambda tx: store.add_visitors(tx, [(f"code-{number}", TODAY, 1) for number in range(100)])
    )
    assert {table: len(partitions) for table, partitions in inserted.items()} == {"visitor": PARTITIONS}


async def test_what_belongs_together_lies_together(spread_out: Database) -> None:
    """Joins of tables with the same key stay on one server."""
    for query in (HOT["find_session"][1], HOT["find_key"][1], HOT["delete_link"][1]):
        touched = await partitions_of(spread_out, query)
        assert len({name.rpartition("_")[2] for names in touched.values() for name in names}) == 1
