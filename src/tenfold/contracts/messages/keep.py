"""What a client keeps: keys, sessions, messages, and what is still to be sent. One SQLite file, readable by its owner.

Each step of a conversation is one transaction: a session that has moved on and the message it was moved by are written
together, and only then is anything acknowledged or sent. So a client that is killed anywhere goes on where it was.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
-- Devices as they were first seen; what they publish later must be the same.
CREATE TABLE IF NOT EXISTS device (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, identity_key TEXT NOT NULL, signing_key TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS olm (
    device TEXT NOT NULL, session TEXT NOT NULL, pickle TEXT NOT NULL, used INTEGER NOT NULL,
    PRIMARY KEY (device, session)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbound (
    conversation TEXT NOT NULL, device TEXT NOT NULL, session TEXT NOT NULL, pickle TEXT NOT NULL,
    PRIMARY KEY (conversation, device, session)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used_index (
    session TEXT NOT NULL, n INTEGER NOT NULL, id TEXT NOT NULL, PRIMARY KEY (session, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbound (
    conversation TEXT PRIMARY KEY, session TEXT NOT NULL, key TEXT NOT NULL, pickle TEXT NOT NULL,
    begun REAL NOT NULL, count INTEGER NOT NULL, given TEXT NOT NULL) WITHOUT ROWID;
-- Who was given the key of a session of one's own, and what it is, for those who ask again.
CREATE TABLE IF NOT EXISTS own_key (
    session TEXT PRIMARY KEY, conversation TEXT NOT NULL, key TEXT NOT NULL, given TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (conversation TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (
    n INTEGER PRIMARY KEY, conversation TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, account TEXT NOT NULL,
    device TEXT NOT NULL, at INTEGER NOT NULL, content BLOB, why TEXT NOT NULL DEFAULT '', sealed BLOB,
    UNIQUE (conversation, device, id));
CREATE INDEX IF NOT EXISTS message_place ON message (conversation, seq);
CREATE INDEX IF NOT EXISTS message_sealed ON message (conversation, device) WHERE sealed IS NOT NULL;
CREATE TABLE IF NOT EXISTS outbox (
    n INTEGER PRIMARY KEY, conversation TEXT NOT NULL, id TEXT NOT NULL UNIQUE, content BLOB NOT NULL,
    expires INTEGER NOT NULL, quiet INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS note (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS asked (what TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
"""


class Keep:
    """The store of one device. A folder has one at a time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "messages.db"
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_TABLES)
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

    def first_time(self, what: str, now: float, pause: float) -> bool:
        """Whether something wasn't asked for in the last `pause` seconds; from now on it was."""
        found = self.one("SELECT at FROM asked WHERE what = ?", what)
        if found is not None and now - float(found[0]) < pause:
            return False
        self.run("INSERT OR REPLACE INTO asked VALUES (?, ?)", what, now)
        return True


def new_id() -> str:
    """An id that no other message has."""
    return os.urandom(16).hex()
