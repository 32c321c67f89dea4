"""What a client keeps: keys, sessions, messages, and what is still to be sent. One SQLite file, readable by its owner.

Each step of a conversation is one transaction: a session that has moved on and the message it was moved by are written
together, and only then is anything acknowledged or sent. So a client that is killed anywhere goes on where it was.
SQLite's exclusive lock keeps a second program out: two that moved the same ratchets on would break them.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
-- Devices as they were first seen; what they publish later must be the same. `news`: of somebody who had others before.
CREATE TABLE IF NOT EXISTS device (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, identity_key TEXT NOT NULL, signing_key TEXT NOT NULL,
    news INTEGER NOT NULL) WITHOUT ROWID;
-- Conversations as the server last told of them: what their admins may do is decided here.
CREATE TABLE IF NOT EXISTS place (
    conversation TEXT PRIMARY KEY, kind TEXT NOT NULL, admins TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS olm (
    device TEXT NOT NULL, conversation TEXT NOT NULL, session TEXT NOT NULL, pickle TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (device, conversation, session)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbound (
    conversation TEXT NOT NULL, device TEXT NOT NULL, session TEXT NOT NULL, pickle TEXT NOT NULL,
    PRIMARY KEY (conversation, device, session)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used_index (
    session TEXT NOT NULL, n INTEGER NOT NULL, id TEXT NOT NULL, PRIMARY KEY (session, n)) WITHOUT ROWID;
-- `tried`: who may have been given the key, although the server hasn't said that it has the message.
CREATE TABLE IF NOT EXISTS outbound (
    conversation TEXT PRIMARY KEY, session TEXT NOT NULL, pickle TEXT NOT NULL,
    begun REAL NOT NULL, count INTEGER NOT NULL, tried TEXT NOT NULL) WITHOUT ROWID;
-- Who was given the key of a session of one's own, as it was then, for those who ask again.
CREATE TABLE IF NOT EXISTS own_key (
    session TEXT NOT NULL, device TEXT NOT NULL, conversation TEXT NOT NULL, key TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (session, device)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (conversation TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (
    n INTEGER PRIMARY KEY, conversation TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, account TEXT NOT NULL,
    device TEXT NOT NULL, at INTEGER NOT NULL, content BLOB, why TEXT NOT NULL DEFAULT '', sealed BLOB,
    ends_at INTEGER, given TEXT NOT NULL DEFAULT '[]', about INTEGER NOT NULL DEFAULT 0,
    UNIQUE (conversation, device, id));
CREATE INDEX IF NOT EXISTS message_place ON message (conversation, seq);
CREATE INDEX IF NOT EXISTS message_about ON message (conversation, seq) WHERE about;
CREATE INDEX IF NOT EXISTS message_end ON message (ends_at) WHERE ends_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS message_sealed ON message (conversation, device) WHERE sealed IS NOT NULL;
CREATE TABLE IF NOT EXISTS outbox (
    n INTEGER PRIMARY KEY, conversation TEXT NOT NULL, id TEXT NOT NULL UNIQUE, content BLOB NOT NULL,
    expires INTEGER NOT NULL, quiet INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS note (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS asked (what TEXT PRIMARY KEY, at REAL NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID;
-- Notes that are to be sent until the server has them.
CREATE TABLE IF NOT EXISTS errand (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, conversation TEXT NOT NULL, device TEXT NOT NULL,
    content BLOB, keys BLOB, fresh INTEGER NOT NULL);
-- Files that are being uploaded, to be gone on with after this program has died.
CREATE TABLE IF NOT EXISTS upload (
    id TEXT PRIMARY KEY, conversation TEXT NOT NULL, path TEXT NOT NULL, content BLOB NOT NULL) WITHOUT ROWID;
"""
#: Times that something missing is asked for, and the seconds between. After a day it begins anew.
PAUSES = (2.0, 10.0, 60.0, 600.0, 3600.0)
#: Seconds that keys of one's own group sessions are kept for who asks again: longer than messages wait for a device.
OWN_KEY_SECONDS = 45 * 86_400
#: Notes that may wait to be sent.
MOST_ERRANDS = 2000


class FolderInUse(Exception):
    """Another program uses this folder."""


class Keep:
    """The store of one device. A folder has one at a time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "messages.db"
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=1)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            # What is acknowledged is forgotten by the server, and a ratchet must not run back: not even if power fails.
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.executescript(_TABLES)
        except sqlite3.OperationalError as error:
            self._db.close()
            if "locked" in str(error):
                raise FolderInUse(str(folder)) from error
            raise
        self._depth = 0
        key = self.state("pickle_key")
        if key is None:
            key = secrets.token_bytes(32)
            self.set_state("pickle_key", key)
        #: Under which sessions are pickled.
        self.key = key

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. May be nested; the outermost counts."""
        if self._depth == 0:
            self._db.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("ROLLBACK")
            raise
        self._depth -= 1
        if self._depth == 0:
            self._db.execute("COMMIT")

    def run(self, sql: str, *args: object) -> int:
        """How many rows it touched."""
        return self._db.execute(sql, args).rowcount

    def one(self, sql: str, *args: object) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._db.execute(sql, args).fetchone()
        return found

    def rows(self, sql: str, *args: object) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, args).fetchall()

    def state(self, name: str) -> bytes | None:
        found = self.one("SELECT value FROM state WHERE name = ?", name)
        return None if found is None else bytes(found[0])

    def set_state(self, name: str, value: bytes) -> None:
        self.run("INSERT OR REPLACE INTO state VALUES (?, ?)", name, value)

    def position(self, conversation: str) -> int:
        """Up to where nothing is missing."""
        found = self.one("SELECT seq FROM position WHERE conversation = ?", conversation)
        return 0 if found is None else int(found[0])

    def move(self, conversation: str, seq: int) -> None:
        self.run(
            """INSERT INTO position VALUES (?, ?)
               ON CONFLICT (conversation) DO UPDATE SET seq = max(seq, excluded.seq)""",
            conversation,
            seq,
        )

    def may_ask(self, what: str) -> bool:
        """Whether it is time to ask for something, the first time or again; from now on it was asked for."""
        now = time.time()
        found = self.one("SELECT at, count FROM asked WHERE what = ?", what)
        at, count = found or (0.0, 0)
        if not 0 <= now - at < 86_400:
            count = 0
        elif count >= len(PAUSES) or now - at < PAUSES[count - 1]:
            return False
        self.run("INSERT OR REPLACE INTO asked VALUES (?, ?, ?)", what, now, count + 1)
        return True

    def forget(self) -> list[str]:
        """Drop what is over: messages' contents, and what nobody asks for any more. The conversations that changed."""
        now = time.time()
        sql = """UPDATE message SET content = NULL, sealed = NULL, ends_at = NULL, why = 'expired'
                 WHERE ends_at <= ? RETURNING conversation"""
        found = {conversation for (conversation,) in self.rows(sql, int(now * 1000))}
        self.run("DELETE FROM asked WHERE at < ?", now - 2 * 86_400)
        self.run("DELETE FROM note WHERE id NOT IN (SELECT id FROM note ORDER BY length(id) DESC, id DESC LIMIT 5000)")
        self.run("DELETE FROM own_key WHERE at < ?", now - OWN_KEY_SECONDS)
        return sorted(found)

    def errand(
        self, conversation: str, device: str, content: bytes | None, *, keys: bytes | None = None, fresh: bool = False
    ) -> None:
        """Send a note, as soon as may be. Beyond a bound they are dropped: what matters is asked for again."""
        found = self.one("SELECT count(*) FROM errand")
        if found and found[0] < MOST_ERRANDS:
            self.run(
                "INSERT INTO errand (id, conversation, device, content, keys, fresh) VALUES (?, ?, ?, ?, ?, ?)",
                new_id(),
                conversation,
                device,
                content,
                keys,
                int(fresh),
            )


def new_id() -> str:
    """An id that no other message has."""
    return os.urandom(16).hex()
