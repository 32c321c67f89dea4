"""Connections: what a device says is done, and what waits for it is sent, at the speed at which it acknowledges.

A connection owns three things that run at once: hearing (the door calls `hear` for each frame), looking (reading the
inbox whenever words can't tell what is next), and its outgoing frames, which the door takes away and sends. None of
them grows: frames that answer are bounded by what may be in flight, messages by the window, the rest may be dropped.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping

import msgspec
import structlog

from tenfold.contracts.messages import frames
from tenfold.platform.errors import TenfoldError, Unavailable
from tenfold.platform.identity.rules import read_id
from tenfold.platform.limits import Limit, Principal
from tenfold.systems.messages.actions import presence
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.actions.sending import message_frame, note_frame
from tenfold.systems.messages.errors import AckAhead, BadFrame, ConversationNotFound, FrameTooLarge, StaleMembers
from tenfold.systems.messages.rules.pace import Pace, cost_of
from tenfold.systems.messages.rules.passing import Progress
from tenfold.systems.messages.store import inbox
from tenfold.systems.messages.types import Ackable, Delivery, Ended, Noted, Sealed, Stored, Told, Word

log = structlog.get_logger(__name__)

WATCH = Limit(name="messages.watch", rates={"anonymous": "120/minute"})

#: Frames of a client that are being done and not yet answered.
IN_FLIGHT = 256
#: Rows of an inbox that are read at once.
PAGE = 256
#: Frames that wait to be sent, beyond which those are dropped that may be lost.
OUTGOING = 2048
#: Frames that can't be read, after which the connection is closed.
BAD = 10

_decode = msgspec.json.Decoder(frames.FromClient).decode
_encode = msgspec.json.encode


class Connection:
    """A device that is connected. Made by `Connections.open`; who opens it runs it and closes it."""

    def __init__(self, messages: Messages, principal: Principal, account_id: int, device_id: int) -> None:
        self.account_id = account_id
        self.device_id = device_id
        self.id = secrets.token_hex(8)
        #: Code and reason, once it is to be closed.
        self.ended: tuple[int, str] | None = None
        self.heard_at = time.monotonic()
        self.watched: dict[int, int | None] = {}
        self.tells = True
        self._messages = messages
        self._principal = principal
        settings = messages.settings
        self._progress = Progress(settings.window)
        self._pace = Pace(settings.frames, settings.frames_burst, self.heard_at)
        self._out: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._wanted = asyncio.Event()
        self._room = asyncio.Event()
        self._flying = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._landed = asyncio.Event()
        self._bad = 0
        self._looking: asyncio.Task[None] | None = None

    # What goes out.

    def start(self) -> None:
        """Send what waits, and go on."""
        settings = self._messages.settings
        self._say(
            frames.Welcome(
                protocol=frames.PROTOCOL,
                account=str(self.account_id),
                device=str(self.device_id),
                now=time.time_ns() // 1_000_000,
                heartbeat=settings.heartbeat,
                silence=settings.silence,
                window=settings.window,
                frame_bytes=settings.frame_bytes,
                content_bytes=settings.content_bytes,
                envelope_bytes=settings.envelope_bytes,
                retry=(settings.retry_least, settings.retry_most),
            )
        )
        self._wanted.set()
        self._looking = asyncio.create_task(self._look(), name="messages-look")

    async def take(self) -> list[bytes] | None:
        """The frames that are to be sent now; waits for some. None at the end."""
        while not self._out:
            if self.ended is not None:
                return None
            self._wake.clear()
            await self._wake.wait()
        taken = list(self._out)
        self._out.clear()
        return taken

    def end(self, code: int, reason: str, *, after: int = 0) -> None:
        """Say goodbye. What was to be sent before is sent."""
        if self.ended is None:
            self._say(frames.Bye(reason=reason, after=after))
            self.ended = code, reason
            self._wake.set()

    async def close(self) -> None:
        """The connection is gone."""
        if self.ended is None:
            self.ended = 1000, "gone"
            self._wake.set()
        tasks = [*self._tasks, *([self._looking] if self._looking else [])]
        if self._looking is not None:
            self._looking.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _say(self, frame: frames.FromServer) -> None:
        self._put(_encode(frame))

    def _put(self, frame: bytes) -> None:
        if self.ended is None:
            self._out.append(frame)
            self._wake.set()

    # What is said to it. These are called for each word, and never wait.

    def offer(self, word: Word) -> None:
        match word:
            case Delivery():
                if word.device_id == self.device_id:
                    self._progress.own(word.conversation_id, word.seq)
                    return
                passes = self._progress.word(word.conversation_id, word.seq)
                if passes:
                    self._put(word.frame_for(self.device_id))
                elif passes is None:
                    self._wanted.set()
            case Noted():
                noted = word.notes.get(self.device_id)
                if noted is not None:
                    passes = self._progress.note(noted[0])
                    if passes:
                        self._put(noted[1])
                    elif passes is None:
                        self._wanted.set()
            case Told():
                if word.but != self.device_id:
                    self.show(word.frame)
            case Ended():
                if word.device_id == self.device_id and word.by != self.id:
                    self.end(word.code, "replaced" if word.code == frames.REPLACED else "ended")
            case _:
                self.look()

    def look(self) -> None:
        self._wanted.set()

    def show(self, frame: bytes) -> None:
        if len(self._out) < OUTGOING:
            self._put(frame)

    async def _look(self) -> None:
        """Read the inbox when words can't tell what is next, as far as there is room."""
        caught_up = False
        while self.ended is None:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._read_notes()
                await self._read_messages()
            except Unavailable:
                await asyncio.sleep(1)
                self._wanted.set()
                continue
            except Exception:
                log.exception("inbox_not_read")
                self.end(1011, "failed", after=self._messages.settings.retry_most)
                return
            if not caught_up:
                caught_up = True
                self._say(frames.CaughtUp())

    async def _read_messages(self) -> None:
        after, more = (0, 0), True
        while more and self.ended is None:
            async with self._messages.runtime.db.read(fresh=True) as tx:
                rows = await inbox.list_inbox(tx, self.account_id, self.device_id, after, _now(), PAGE)
            for row in rows:
                while self._progress.room <= 0:
                    await self._wait_for_room()
                if self._progress.row(row.conversation_id, row.seq):
                    self._put(message_frame(row))
                after = row.conversation_id, row.seq
            more = len(rows) == PAGE

    async def _read_notes(self) -> None:
        after, more = 0, True
        while more and self.ended is None:
            async with self._messages.runtime.db.read(fresh=True) as tx:
                rows = await inbox.list_notes(tx, self.account_id, self.device_id, after, _now(), PAGE)
            for row in rows:
                while (passes := self._progress.note(row.id)) is None:
                    await self._wait_for_room()
                if passes:
                    self._put(note_frame(row))
                after = row.id
            more = len(rows) == PAGE

    async def _wait_for_room(self) -> None:
        self._room.clear()
        await self._room.wait()

    # What it says.

    async def hear(self, data: bytes) -> None:
        """Do what a frame says, or begin to. Waits while this device is ahead of what it may."""
        self.heard_at = time.monotonic()
        settings = self._messages.settings
        if len(data) > settings.frame_bytes:
            self._refuse(FrameTooLarge(size=len(data), most=settings.frame_bytes))
            self.end(frames.TOO_LARGE, "frame_too_large")
            return
        try:
            frame = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._refuse(BadFrame(reason=str(error)[:300]))
            self._bad += 1
            if self._bad >= BAD:
                self.end(frames.BAD_FRAMES, "bad_frames")
            return
        envelopes = len(frame.envelopes) if isinstance(frame, (frames.Send, frames.Note)) else 0
        self._do(frame)
        while self._flying >= IN_FLIGHT:
            self._landed.clear()
            await self._landed.wait()
        pause = self._pace.take(cost_of(len(data), envelopes), self.heard_at)
        if pause:
            await asyncio.sleep(pause)

    def _do(self, frame: frames.FromClient) -> None:
        """Begin with what a frame asks for. It is answered when it is done."""
        try:
            match frame:
                case frames.Send():
                    self._send(frame)
                case frames.Ack():
                    self._acknowledge(frame)
                case frames.Note():
                    self._begin(self._note(frame), frame.id, frame.conversation)
                case frames.Read():
                    self._begin(self._read(frame), conversation=frame.conversation)
                case frames.Typing():
                    self._begin(self._type(frame), conversation=frame.conversation)
                case frames.Watch():
                    self._begin(self._watch(frame))
                case frames.Ping():
                    self._say(frames.Pong(n=frame.n))
                case frames.Hello():
                    self._refuse(BadFrame(reason="hello was said already"))
        except TenfoldError as error:
            self._refuse(error, getattr(frame, "id", None), getattr(frame, "conversation", ""))

    def _begin(self, doing: Coroutine[None, None, None], id: str | None = None, conversation: str = "") -> None:
        """Do something beside what comes next."""
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._await(task, lambda _: None, id, conversation)

    def _await[T](
        self, future: "asyncio.Future[T]", done: Callable[[T], None], id: str | None = None, conversation: str = ""
    ) -> None:
        """Have something answered when it is there, and its error told. It counts as being done until then."""

        def landed(future: "asyncio.Future[T]") -> None:
            self._flying -= 1
            self._landed.set()
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                done(future.result())
            elif isinstance(error, TenfoldError):
                self._refuse(error, id, conversation)
            else:
                log.error("frame_failed", exc_info=error)
                self._refuse(Unavailable(part="Messages"), id, conversation)

        self._flying += 1
        future.add_done_callback(landed)

    def _refuse(self, error: TenfoldError, id: str | None = None, conversation: str = "") -> None:
        values: Mapping[str, object] = error.values
        revision, retry_after = values.get("revision"), values.get("retry_after")
        self._say(
            frames.Problem(
                code=error.code,
                detail=error.detail,
                id=msgspec.UNSET if id is None else id,
                conversation=conversation or msgspec.UNSET,
                revision=revision if isinstance(error, StaleMembers) and isinstance(revision, int) else msgspec.UNSET,
                retry_after=retry_after if isinstance(retry_after, int) else msgspec.UNSET,
            )
        )

    def _sealed(self, frame: frames.Send | frames.Note) -> Sealed:
        conversation_id = _read_conversation(frame.conversation)
        envelopes: dict[int, tuple[int, str]] = {}
        for device, envelope in frame.envelopes.items():
            device_id = read_id(device)
            if device_id is None:
                raise BadFrame(reason=f"{device} is no device")
            envelopes[device_id] = envelope.type, envelope.body
        if isinstance(frame, frames.Note):
            return Sealed(conversation_id, self.account_id, self.device_id, frame.id, 0, None, envelopes)
        content = None if isinstance(frame.content, msgspec.UnsetType) else frame.content
        return Sealed(
            conversation_id,
            self.account_id,
            self.device_id,
            frame.id,
            frame.revision,
            content,
            envelopes,
            frame.expires,
            frame.quiet,
        )

    def _send(self, frame: frames.Send) -> None:
        sealed = self._sealed(frame)

        def stored(stored: Stored) -> None:
            self._progress.own(sealed.conversation_id, stored.seq)
            self._sent(frame.id, stored)

        self._await(self._messages.sending.send(sealed), stored, frame.id, frame.conversation)

    async def _note(self, frame: frames.Note) -> None:
        self._sent(frame.id, await self._messages.sending.note(self._sealed(frame)))

    def _sent(self, id: str, stored: Stored) -> None:
        self._say(frames.Sent(id=id, at=stored.at, seq=stored.seq))

    def _acknowledge(self, frame: frames.Ack) -> None:
        seen = {_read_conversation(conversation): seq for conversation, seq in frame.seen.items()}
        notes = [number for note in frame.notes if (number := read_id(note)) is not None]
        taken, gone, honest = self._progress.ack(seen, notes)
        places = [*taken.items(), *((0, note_id) for note_id in gone)]
        for conversation_id, seq in places:
            ack = Ackable(self.account_id, self.device_id, conversation_id, seq)
            self._await(self._messages.acknowledging.acknowledge(ack), lambda _: None)
        self._room.set()
        if not honest:
            raise AckAhead

    async def _read(self, frame: frames.Read) -> None:
        place = _read_conversation(frame.conversation)
        await self._messages.acknowledging.read(self.account_id, self.device_id, place, frame.seq)

    async def _type(self, frame: frames.Typing) -> None:
        place = _read_conversation(frame.conversation)
        async with self._messages.runtime.db.read() as tx:
            members = (await inbox.list_members(tx, [place])).get(place)
        if members is None or self.account_id not in members.account_ids:
            raise ConversationNotFound
        shown = frames.TypingSeen(conversation=frame.conversation, account=str(self.account_id), on=frame.on)
        others = members.account_ids - members.blocking - {self.account_id}
        await self._messages.routes.tell(others, shown)

    async def _watch(self, frame: frames.Watch) -> None:
        messages = self._messages
        await messages.runtime.limits.take(WATCH, self._principal)
        if len(frame.accounts) > messages.settings.watched:
            raise BadFrame(reason=f"at most {messages.settings.watched} people can be watched")
        wanted = [number for account in frame.accounts if (number := read_id(account)) is not None]
        may = await presence.watchable(messages.runtime.db, self.account_id, wanted)
        if self.ended is None:
            messages.watching.watch(self, self.watched, may)
            self.watched = may
        for state in await presence.states(messages.watching, may):
            self._say(state)


def _read_conversation(text: str) -> int:
    number = read_id(text)
    if number is None:
        raise ConversationNotFound
    return number


def _now() -> int:
    return time.time_ns() // 1_000_000
