"""What comes in: opened, kept, and only then acknowledged. What is to be asked for becomes an errand; nothing waits.

What can't be opened is kept sealed and asked for: a group's key by `key_request`, a broken session by `reset`. Both are
asked again after growing pauses (`keep.PAUSES`), for as long as the message is younger than what servers keep.
"""

import time
from typing import NamedTuple

import msgspec

from tenfold.contracts.messages import content as contents
from tenfold.contracts.messages import frames
from tenfold.contracts.messages.content import Again, Delete, Gone, KeyRequest, Reset, Shown, Unopened
from tenfold.contracts.messages.crypto import CannotOpen, Crypto, Forged, KeyMissing, Place, SessionBroken
from tenfold.contracts.messages.keep import Keep

#: Messages whose contents are asked for, or sent again, at once.
MOST_AGAIN = 50
#: Messages that couldn't be opened and are looked at at once, and the milliseconds for which they are asked for.
MOST_MISSING, MISSING_MS = 500, 45 * 86_400_000

_encode = msgspec.json.encode
_decode_frame = msgspec.json.Decoder(frames.Message).decode


class Received(NamedTuple):
    """A message as it is kept."""

    conversation: str
    seq: int
    id: str
    account: str
    device: str
    #: Milliseconds since 1970.
    at: int
    content: Shown


def kept(keep: Keep, where: str, *args: object) -> list[tuple[int, Received]]:
    """Messages as they are kept, each with its number among all of them. `where` ends the statement."""
    sql = f"SELECT n, conversation, seq, id, account, device, at, content, why FROM message {where}"  # noqa: S608
    found = []
    for n, conversation, seq, name, account, device, at, content, why in keep.rows(sql, *args):
        shown: Shown = Gone(why) if why in ("deleted", "expired") else Unopened(why)
        if content is not None:
            shown = contents.decode(content)
        found.append((n, Received(conversation, seq, name, account, device, at, shown)))
    return found


class _Opened(NamedTuple):
    """The content of a frame; or why there is none, and what could be asked for."""

    content: bytes | None = None
    why: str = ""
    ask: KeyRequest | Reset | None = None
    #: Whether the session with the device is broken, and another one is needed.
    fresh: bool = False


class Incoming:
    """The receiving side of one device."""

    def __init__(self, keep: Keep, crypto: Crypto, device: str) -> None:
        self._keep = keep
        self._crypto = crypto
        self._device = device

    def take(self, frame: frames.Message) -> bool:
        """Keep a message. False when it is kept already."""
        keep = self._keep
        with keep.transaction():
            if frame.seq <= keep.position(frame.conversation):
                return False
            opened = self._open(frame)
            new = keep.run(
                """INSERT OR IGNORE INTO message
                   (conversation, seq, id, account, device, at, content, why, sealed, ends_at, about)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                frame.conversation,
                frame.seq,
                frame.id,
                frame.account,
                frame.device,
                frame.at,
                opened.content,
                opened.why,
                _encode(frame) if opened.ask is not None else None,
                frame.at + frame.expires * 1000 if frame.expires > 0 else None,
                contents.is_about(opened.content),
            )
            keep.move(frame.conversation, frame.seq)
            self._ask(frame, opened)
            if opened.content is not None:
                self._obey(frame, opened.content)
        return bool(new)

    def _open(self, frame: frames.Message) -> _Opened:
        place = Place(frame.account, frame.device, frame.conversation, frame.id)
        found, broken = None, None
        try:
            if isinstance(frame.envelope, frames.Envelope):
                try:
                    found = self._crypto.open_envelope(frame.envelope, place, self._device)
                    if isinstance(found.keys, contents.GroupKey):
                        self._crypto.take_key(found.keys, place)
                except SessionBroken as error:
                    broken = error  # the group's key may have come some other way
            if isinstance(frame.content, str):
                found = self._crypto.open_content(frame.content, place)
            elif broken is not None:
                raise broken
            if found is None or not isinstance(found.content, msgspec.Raw):
                raise Forged("there is no content in it")
            contents.decode(found.content)
        except KeyMissing as error:
            ask = KeyRequest(session=str(error))
            return _Opened(why="its key hasn't come", ask=ask, fresh=broken is not None)
        except SessionBroken as error:
            return _Opened(why=str(error), ask=Reset(), fresh=True)
        except (CannotOpen, msgspec.MsgspecError) as error:
            return _Opened(why=str(error)[:200] or "it can't be read")
        return _Opened(bytes(found.content))

    def _obey(self, frame: frames.Message, content: bytes) -> None:
        """What its sender took back goes for good. What an admin took back of others is left out where it is shown."""
        shown = contents.decode(content)
        if isinstance(shown, Delete) and shown.to.account == frame.account:
            wipe(self._keep, frame.conversation, shown)

    def _ask(self, frame: frames.Message | frames.NoteCame, opened: _Opened) -> None:
        """Ask the sending device for what is missing, unless that was done a moment ago."""
        match opened.ask:
            case KeyRequest():
                if self._keep.may_ask(f"key {frame.conversation} {frame.device} {opened.ask.session}"):
                    self._errand(frame, contents.encode(opened.ask), fresh=opened.fresh)
            case Reset():
                if self._keep.may_ask(f"reset {frame.conversation} {frame.device}"):
                    sql = "SELECT id FROM message WHERE conversation = ? AND device = ? AND sealed IS NOT NULL LIMIT ?"
                    rows = self._keep.rows(sql, frame.conversation, frame.device, MOST_AGAIN)
                    self._errand(frame, contents.encode(Reset(ids=[name for (name,) in rows])), fresh=True)
            case None:
                pass

    def _errand(
        self,
        frame: frames.Message | frames.NoteCame,
        content: bytes | None,
        *,
        keys: bytes | None = None,
        fresh: bool = False,
    ) -> None:
        self._keep.errand(frame.conversation, frame.device, content, keys=keys, fresh=fresh)

    def ask_again(self) -> None:
        """Ask for everything that couldn't be opened, as often as may be."""
        since = int(time.time() * 1000) - MISSING_MS
        asked: set[tuple[str, str, str]] = set()
        with self._keep.transaction():
            sql = "SELECT sealed FROM message WHERE sealed IS NOT NULL AND at > ? ORDER BY n DESC LIMIT ?"
            for (sealed,) in self._keep.rows(sql, since, MOST_MISSING):
                frame = _decode_frame(sealed)
                session = frame.content.partition(".")[0] if isinstance(frame.content, str) else ""
                what = frame.conversation, frame.device, session
                if what not in asked:
                    asked.add(what)
                    ask = KeyRequest(session=session[:100]) if session else Reset()
                    self._ask(frame, _Opened(ask=ask, fresh=not session))

    def take_note(self, frame: frames.NoteCame) -> int:
        """Do what a note is for. How many messages can be shown now that couldn't."""
        keep, place = self._keep, Place(frame.account, frame.device, frame.conversation, frame.id)
        with keep.transaction():
            if not keep.run("INSERT OR IGNORE INTO note VALUES (?)", frame.note):
                return 0
            try:
                inner = self._crypto.open_envelope(frame.envelope, place, self._device)
                if isinstance(inner.keys, contents.GroupKey):
                    self._crypto.take_key(inner.keys, place)
                    return self.reopen(place.conversation, place.device)
                content = contents.decode(inner.content) if isinstance(inner.content, msgspec.Raw) else None
                match content:
                    case KeyRequest():
                        self._give(frame, content)
                    case Reset():
                        self._say_again(frame, content)
                    case Again():
                        return self._fill(frame, content)
                    case _:
                        pass
            except SessionBroken as error:
                self._ask(frame, _Opened(why=str(error), ask=Reset(), fresh=True))
            except (CannotOpen, msgspec.MsgspecError):
                pass
            return 0

    def reopen(self, conversation: str, device: str) -> int:
        """Open what waited for the key of a group session of a device. What is opened comes last, as if it were new."""
        sql = """SELECT n, sealed FROM message WHERE conversation = ? AND device = ? AND sealed IS NOT NULL
                 ORDER BY seq"""
        count = 0
        for n, sealed in self._keep.rows(sql, conversation, device):
            frame = _decode_frame(sealed)
            if not isinstance(frame.content, str):
                continue
            # The envelope has done what it could.
            opened = self._open(msgspec.structs.replace(frame, envelope=msgspec.UNSET))
            if opened.content is not None:
                self._show(n, frame, opened.content)
                count += 1
        return count

    def _show(self, n: int, frame: frames.Message, content: bytes) -> None:
        self._keep.run(
            """UPDATE message SET content = ?, why = '', sealed = NULL, about = ?,
               n = 1 + (SELECT max(n) FROM message) WHERE n = ?""",
            content,
            contents.is_about(content),
            n,
        )
        self._obey(frame, content)

    def _give(self, frame: frames.NoteCame, asked: KeyRequest) -> None:
        key = self._crypto.key_for(asked.session, frame.conversation, frame.device)
        if key is not None and self._keep.may_ask(f"give {frame.device} {asked.session}"):
            self._errand(frame, None, keys=_encode(key))

    def _say_again(self, frame: frames.NoteCame, reset: Reset) -> None:
        """The contents of one's own messages that somebody couldn't open, if they were sealed for that device."""
        for name in reset.ids[:MOST_AGAIN]:
            row = self._keep.one(
                """SELECT content, given FROM message
                   WHERE conversation = ? AND device = ? AND id = ? AND content IS NOT NULL""",
                frame.conversation,
                self._device,
                name,
            )
            if row is None or frame.device not in msgspec.json.decode(row[1]):
                continue
            if self._keep.may_ask(f"again {frame.device} {name}"):
                self._errand(frame, contents.encode(Again(of=name, content=msgspec.Raw(row[0]))))

    def _fill(self, frame: frames.NoteCame, again: Again) -> int:
        row = self._keep.one(
            "SELECT n, sealed FROM message WHERE conversation = ? AND device = ? AND id = ? AND sealed IS NOT NULL",
            frame.conversation,
            frame.device,
            again.of,
        )
        if row is None:
            return 0
        contents.decode(again.content)
        self._show(row[0], _decode_frame(row[1]), bytes(again.content))
        return 1


def wipe(keep: Keep, conversation: str, delete: Delete) -> None:
    """Forget what a message said. That there was one is remembered, so that it can't come a second time."""
    keep.run(
        """UPDATE message SET content = NULL, sealed = NULL, ends_at = NULL, why = 'deleted'
           WHERE conversation = ? AND account = ? AND id = ?""",
        conversation,
        delete.to.account,
        delete.to.id,
    )
