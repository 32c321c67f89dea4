"""What comes in: opened, kept, and only then acknowledged. Nothing here waits; it says what is to be asked for."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from tenfold.contracts.messages import content as contents
from tenfold.contracts.messages import frames
from tenfold.contracts.messages.content import Again, Inner, KeyRequest, Reset, Shown, Unopened
from tenfold.contracts.messages.crypto import CannotOpen, Crypto, Forged, KeyMissing, Place, SessionBroken
from tenfold.contracts.messages.keep import Keep

#: Seconds until something is asked for again.
ASK_AGAIN = 60.0
#: Messages whose contents are asked for, or sent again, at once.
MOST_AGAIN = 50

_encode = msgspec.json.encode


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


class Wish(NamedTuple):
    """A note to send: a key or a content that is missing here, or that somebody else is missing."""

    conversation: str
    device: str
    content: contents.Content | None
    keys: contents.GroupKey | None = None
    #: Whether it must be sealed with a new session, since the old one is broken.
    fresh: bool = False


class Incoming:
    """The receiving side of one device."""

    def __init__(self, keep: Keep, crypto: Crypto, device: str) -> None:
        self._keep = keep
        self._crypto = crypto
        self._device = device

    def take(self, frame: frames.Message) -> tuple[Received | None, list[Wish]]:
        """Keep a message; None when it is kept already."""
        keep = self._keep
        with keep.transaction():
            if frame.seq <= keep.position(frame.conversation):
                return None, []
            content, sealed, wishes = self._open(frame)
            row = (frame.conversation, frame.seq, frame.id, frame.account, frame.device, frame.at)
            why = content.why if isinstance(content, Unopened) else ""
            new = keep.run(
                """INSERT OR IGNORE INTO message (conversation, seq, id, account, device, at, content, why, sealed)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                *row,
                self._raw if not why else None,
                why,
                sealed,
            )
            keep.move(frame.conversation, frame.seq)
        return (Received(*row, content) if new else None), wishes

    _raw: bytes = b""

    def _open(self, frame: frames.Message) -> tuple[Shown, bytes | None, list[Wish]]:
        """The content, or why there is none; then the frame is kept, to be opened when the key has come."""
        place = Place(frame.account, frame.device, frame.conversation, frame.id)
        try:
            inner: Inner | None = None
            if isinstance(frame.envelope, frames.Envelope):
                inner = self._crypto.open_envelope(frame.envelope, place, self._device)
                if isinstance(inner.keys, contents.GroupKey):
                    self._crypto.take_key(inner.keys, place)
            if isinstance(frame.content, str):
                inner = self._crypto.open_content(frame.content, place)
            if inner is None or not isinstance(inner.content, msgspec.Raw):
                raise Forged("there is no content in it")
            shown = contents.decode(inner.content)
        except KeyMissing as error:
            return Unopened("its key hasn't come"), _encode(frame), [self.ask_for_key(place, str(error))]
        except SessionBroken as error:
            return Unopened(str(error)), _encode(frame), [Wish(frame.conversation, frame.device, Reset(), fresh=True)]
        except (CannotOpen, msgspec.MsgspecError) as error:
            return Unopened(str(error) or "it can't be read"), None, []
        self._raw = bytes(inner.content)
        return shown, None, []

    def ask_for_key(self, place: Place, session: str) -> Wish:
        return Wish(place.conversation, place.device, KeyRequest(session=session))

    def take_note(self, frame: frames.NoteCame) -> tuple[list[Received], list[Wish]]:
        """Do what a note is for: messages that can be shown now, and what is to be answered."""
        keep, place = self._keep, Place(frame.account, frame.device, frame.conversation, frame.id)
        with keep.transaction():
            if not keep.run("INSERT OR IGNORE INTO note VALUES (?)", frame.note):
                return [], []
            try:
                inner = self._crypto.open_envelope(frame.envelope, place, self._device)
                content = contents.decode(inner.content) if isinstance(inner.content, msgspec.Raw) else None
                if isinstance(inner.keys, contents.GroupKey):
                    self._crypto.take_key(inner.keys, place)
                    return list(self._reopen(place)), []
            except SessionBroken:
                return [], [Wish(frame.conversation, frame.device, Reset(), fresh=True)]
            except (CannotOpen, msgspec.MsgspecError):
                return [], []
            match content:
                case KeyRequest():
                    key = self._crypto.key_for(content.session, frame.conversation, frame.device)
                    return [], [Wish(frame.conversation, frame.device, None, key)] if key else []
                case Reset():
                    return [], list(self._say_again(place, content))
                case Again():
                    return list(self._fill(place, content)), []
                case _:
                    return [], []

    def _reopen(self, place: Place) -> Iterator[Received]:
        """Open what waited for a key of this device."""
        sql = "SELECT n, sealed FROM message WHERE conversation = ? AND device = ? AND sealed IS NOT NULL ORDER BY seq"
        for n, sealed in self._keep.rows(sql, place.conversation, place.device):
            frame = msgspec.json.decode(sealed, type=frames.Message)
            if not isinstance(frame.content, str):
                continue
            # The envelope has done what it could.
            content, _, _ = self._open(msgspec.structs.replace(frame, envelope=msgspec.UNSET))
            if not isinstance(content, Unopened):
                self._keep.run("UPDATE message SET content = ?, why = '', sealed = NULL WHERE n = ?", self._raw, n)
                yield _received(frame, content)

    def _say_again(self, place: Place, reset: Reset) -> Iterator[Wish]:
        """The contents of one's own messages that somebody who was sent them couldn't open."""
        for name in reset.ids[:MOST_AGAIN]:
            row = self._keep.one(
                "SELECT content FROM message WHERE conversation = ? AND device = ? AND id = ? AND content IS NOT NULL",
                place.conversation,
                self._device,
                name,
            )
            if row is not None:
                yield Wish(place.conversation, place.device, Again(of=name, content=msgspec.Raw(row[0])))

    def _fill(self, place: Place, again: Again) -> Iterator[Received]:
        row = self._keep.one(
            "SELECT n, sealed FROM message WHERE conversation = ? AND device = ? AND id = ? AND sealed IS NOT NULL",
            place.conversation,
            place.device,
            again.of,
        )
        if row is not None:
            shown = contents.decode(again.content)
            self._keep.run(
                "UPDATE message SET content = ?, why = '', sealed = NULL WHERE n = ?", bytes(again.content), row[0]
            )
            yield _received(msgspec.json.decode(row[1], type=frames.Message), shown)

    def due(self, wish: Wish) -> Wish | None:
        """The wish as it is to be sent now; None when it was sent a moment ago."""
        match wish.content:
            case KeyRequest():
                what, pause = f"key {wish.device} {wish.content.session}", ASK_AGAIN
            case Reset():
                what, pause = f"reset {wish.device}", ASK_AGAIN
            case _:
                return wish
        if not self._keep.first_time(what, time.time(), pause):
            return None
        if isinstance(wish.content, Reset):
            sql = "SELECT id FROM message WHERE conversation = ? AND device = ? AND sealed IS NOT NULL LIMIT ?"
            ids = [name for (name,) in self._keep.rows(sql, wish.conversation, wish.device, MOST_AGAIN)]
            return wish._replace(content=Reset(ids=ids))
        return wish

    def missing(self) -> Iterator[Wish]:
        """What is still to be asked for, of all that couldn't be opened."""
        for (sealed,) in self._keep.rows("SELECT sealed FROM message WHERE sealed IS NOT NULL LIMIT 1000"):
            frame = msgspec.json.decode(sealed, type=frames.Message)
            if isinstance(frame.content, str):
                place = Place(frame.account, frame.device, frame.conversation, frame.id)
                yield self.ask_for_key(place, frame.content.partition(".")[0])
            else:
                yield Wish(frame.conversation, frame.device, Reset(), fresh=True)


def _received(frame: frames.Message, content: Shown) -> Received:
    return Received(frame.conversation, frame.seq, frame.id, frame.account, frame.device, frame.at, content)
