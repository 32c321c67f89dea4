"""Backups of what a device keeps, for a device that comes later: sealed by a passphrase that the server never sees."""

import asyncio
import os
from collections.abc import Iterator

import msgspec

from tenfold.contracts.messages import backup
from tenfold.contracts.messages import content as contents
from tenfold.contracts.messages.api import Api, Refused
from tenfold.contracts.messages.backup import BackupBroken, KeptMessage, KeptSession, Line
from tenfold.contracts.messages.crypto import Crypto, Forged
from tenfold.contracts.messages.entities import Backup, BackupHead
from tenfold.contracts.messages.incoming import Incoming
from tenfold.contracts.messages.keep import Keep

#: Bytes of a part before it is packed, characters of a passphrase at least, and rows that are read at once.
PART, PASSPHRASE, ROWS = 1024 * 1024, 8, 500


class Past:
    """The backup of one account, as one device makes and reads it."""

    def __init__(self, api: Api, keep: Keep, crypto: Crypto, incoming: Incoming) -> None:
        self._api = api
        self._keep = keep
        self._crypto = crypto
        self._incoming = incoming

    async def found(self) -> Backup | None:
        """The backup that there is. Raises Refused, aiohttp.ClientError, as all here."""
        try:
            return await self._api.get(Backup, "/backup")
        except Refused as error:
            if error.status == 404:
                return None
            raise

    async def make(self, passphrase: str) -> int:
        """Replace the backup by all that is kept here. How many messages are in it. Raises ValueError."""
        if len(passphrase) < PASSPHRASE:
            raise ValueError(f"a passphrase has at least {PASSPHRASE} characters")
        key, before = os.urandom(32), await self.found()
        version = before.version + 1 if before else 1
        head = BackupHead(version=version, sealed=await asyncio.to_thread(backup.make_head, passphrase, key))
        await self._api.call("PUT", "/backup", head)
        lines, size, number, count = list[bytes](), 0, 0, 0
        for line in self._lines():
            if size + len(line) > PART and lines:
                await self._put(key, version, number, lines)
                lines, size, number = [], 0, number + 1
            lines.append(line)
            size += len(line)
            count += line.startswith(b'{"message"')
        if lines:
            await self._put(key, version, number, lines)
        return count

    async def _put(self, key: bytes, version: int, number: int, lines: list[bytes]) -> None:
        sealed = await asyncio.to_thread(backup.seal_part, key, version, number, map(msgspec.Raw, lines))
        await self._api.call("PUT", f"/backup/parts/{number}?version={version}", data=sealed)

    def _lines(self) -> Iterator[bytes]:
        sql = "SELECT conversation, device, session FROM inbound"
        for conversation, device, session in self._keep.rows(sql):
            key = self._crypto.exported(conversation, device, session)
            if key is not None:
                kept = KeptSession(conversation=conversation, device=device, session=session, key=key)
                yield msgspec.json.encode(Line(session=kept))
        after = 0
        sql = """SELECT n, conversation, seq, id, account, device, at, content, ends_at FROM message
                 WHERE n > ? AND content IS NOT NULL ORDER BY n LIMIT ?"""
        while rows := self._keep.rows(sql, after, ROWS):
            after = rows[-1][0]
            for _, conversation, seq, name, account, device, at, content, ends_at in rows:
                message = KeptMessage(
                    conversation=conversation,
                    seq=seq,
                    id=name,
                    account=account,
                    device=device,
                    at=at,
                    content=msgspec.Raw(content),
                    ends_at=ends_at,
                )
                yield msgspec.json.encode(Line(message=message))

    async def restore(self, passphrase: str) -> int:
        """Take in what a backup holds that isn't here. How many messages. Raises WrongPassphrase, BackupBroken."""
        found = await self.found()
        if found is None:
            return 0
        key = await asyncio.to_thread(backup.open_head, passphrase, found.sealed)
        if sorted(found.parts) != list(range(len(found.parts))):
            raise BackupBroken  # one in the middle was left out
        count, places = 0, set[tuple[str, str]]()
        for number in sorted(found.parts):
            sealed = await self._api.call("GET", f"/backup/parts/{number}")
            opened = await asyncio.to_thread(backup.open_part, key, found.version, number, sealed)
            with self._keep.transaction():
                for data in opened:
                    try:
                        line = backup.decode_line(data)
                    except msgspec.MsgspecError as error:
                        raise BackupBroken from error
                    if line.message is not None:
                        count += self._take_message(line.message)
                    if line.session is not None and self._take_session(line.session):
                        places.add((line.session.conversation, line.session.device))
        with self._keep.transaction():
            for place in places:
                count += self._incoming.reopen(*place)
            self._keep.forget()
        return count

    def _take_message(self, kept: KeptMessage) -> int:
        return self._keep.run(
            """INSERT INTO message (conversation, seq, id, account, device, at, content, ends_at, about)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT (conversation, device, id) DO UPDATE
               SET content = excluded.content, why = '', sealed = NULL WHERE sealed IS NOT NULL""",
            kept.conversation,
            kept.seq,
            kept.id,
            kept.account,
            kept.device,
            kept.at,
            bytes(kept.content),
            kept.ends_at,
            contents.is_about(bytes(kept.content)),
        )

    def _take_session(self, kept: KeptSession) -> bool:
        try:
            return self._crypto.take_exported(kept.conversation, kept.device, kept.session, kept.key)
        except Forged as error:
            raise BackupBroken from error
