"""The connection of a client: it comes back by itself, sends what is kept to be sent, and keeps what comes."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec
import structlog

from tenfold.contracts.messages import entities, frames
from tenfold.contracts.messages.api import PREFIX, Api, Refused
from tenfold.contracts.messages.crypto import Crypto, Forged, NoSession
from tenfold.contracts.messages.entities import Conversation
from tenfold.contracts.messages.incoming import Incoming
from tenfold.contracts.messages.keep import Keep
from tenfold.contracts.messages.outgoing import Errand, Outgoing, Queued

log = structlog.get_logger(__name__)

#: Below so many one-time keys at the server, some are added, up to so many.
FEW_KEYS, MANY_KEYS = 20, 50
#: Seconds until what was gathered is acknowledged; until what is missing is looked for again.
ACK_AFTER, LOOK_AFTER = 0.02, 2.0
#: Bytes of a frame of the server.
MOST_FRAME = 4 * 1024 * 1024
#: Times that a message is sealed anew because its conversation has changed, without the server naming another revision.
MOST_STALE = 5
#: Notes that are read of the store at once; conversations whose devices are remembered, refusals that nobody asked for.
NOTES, MOST_PLACES, MOST_REFUSED = 16, 500, 1000

_decode = msgspec.json.Decoder(frames.FromServer).decode
_encode = msgspec.json.encode

type Listener = Callable[[frames.FromServer], None]


class Ended(Exception):
    """The connection won't come back by itself."""


class DeviceEnded(Ended):
    """This device was ended, from another one or because it was away for too long. Its folder is of no use any more."""


class Replaced(Ended):
    """Another program has connected as this device."""


class SignedOut(Ended):
    """The key or token is not good any more."""


class Misunderstood(Ended):
    """The server can't read what this client says: one of them is too old."""


_ENDS: dict[int, type[Ended]] = {
    frames.NO_DEVICE: DeviceEnded,
    frames.REPLACED: Replaced,
    frames.SIGNED_OUT: SignedOut,
    frames.BAD_FRAMES: Misunderstood,
    frames.TOO_LARGE: Misunderstood,
}


class NotSent(Exception):
    """A message was refused for good. `code` is the server's, or `no_session` where a device can't be written to."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Connection:
    """What is between a device's store and the server. `Client` is what programs use."""

    def __init__(self, address: str, token: str, folder: Path, *, name: str = "Python") -> None:
        """Open the folder of a device, which is made where there is none. Raises FolderInUse."""
        self.api = Api(address, token)
        self.name = name
        self.account = ""
        self.device = ""
        #: Called with each frame of the server, once what it says is kept.
        self.listeners: list[Listener] = []
        #: Why the connection won't come back; None as long as it may.
        self.ended: Exception | None = None
        self._keep = Keep(folder)
        self._crypto = Crypto(self._keep)
        self._incoming: Incoming
        self._outgoing: Outgoing
        self._places: dict[str, Conversation] = {}
        #: Sending devices that the server doesn't name (any more), on this connection.
        self._strangers: set[tuple[str, str]] = set()
        #: Conversations where something was refused, and when sending may go on (of the loop's clock).
        self._blocked: dict[str, float] = {}
        self._stale: dict[str, int] = {}
        self._refused: dict[str, NotSent] = {}
        self._noted: set[str] = set()
        self._running: asyncio.Task[None] | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._welcome = frames.Welcome(
            protocol=1,
            account="1",
            device="1",
            now=0,
            heartbeat=30,
            silence=90,
            window=1,
            frame_bytes=0,
            content_bytes=0,
            envelope_bytes=0,
            retry=(1, 60),
        )
        self._wake = asyncio.Event()
        self._look = asyncio.Event()
        self._changed = asyncio.Condition()
        self._seen: dict[str, int] = {}
        self._notes: list[str] = []
        self._gathered = asyncio.Event()
        self.connected = asyncio.Event()
        self.caught_up = asyncio.Event()

    async def _register(self) -> None:
        me = (await self.api.me()).account.id
        known = (self._keep.state("me") or b"").decode().partition(" ")
        if known[0] and known[0] != me:
            raise ValueError("this folder belongs to another account")
        self.account, self.device = me, known[2]
        if not self.device:
            asked = self._crypto.add_device(me, self.name)
            self.device = (await self.api.add_device(asked)).id
            with self._keep.transaction():
                self._crypto.published(asked)
                self._keep.set_state("me", f"{me} {self.device}".encode())

    # The connection.

    async def _run(self) -> None:
        """Be connected, as long as that may be."""
        pause = 0.0
        while self.ended is None:
            wait = None
            try:
                wait = await self._connect()
            except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError, Refused) as error:
                log.info("messages_disconnected", reason=repr(error))
                if getattr(error, "status", 0) == 401:
                    self.ended = SignedOut()
            except Ended as error:
                self.ended = error
            except Exception as error:
                # A full disk, a mistake of ours: whoever waits for messages must hear of it.
                log.exception("messages_failed")
                self.ended = error
            finally:
                least, most = self._welcome.retry
                pause = least if self.connected.is_set() else min(max(pause * 2, least), most)
                self.connected.clear()
                self.caught_up.clear()
                self._socket = None
                self._outgoing.lost()
                self._seen, self._notes = {}, []
                self._noted.clear()
                self._strangers.clear()
                self._blocked.clear()
            await self._tell()
            if self.ended is None:
                await asyncio.sleep(random.uniform(0, pause) if wait is None else wait)

    async def _connect(self) -> float | None:
        """One connection, from hello to its end. Seconds to wait before the next one, if the server has said so."""
        url = f"{self.api.address}{PREFIX}/socket"
        protocols = (frames.SUBPROTOCOL,)
        async with self.api.session.ws_connect(url, protocols=protocols, max_msg_size=MOST_FRAME) as socket:
            await socket.send_str(_encode(frames.Hello(device=self.device, protocol=frames.PROTOCOL)).decode())
            self._socket = socket
            listening = asyncio.create_task(self._listen(socket))
            work = self._pump(), self._fulfil(), self._look_after(), self._beat(), self._acknowledge()
            tasks = [listening, *map(asyncio.create_task, work)]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if listening not in done:
                    # It hears why the connection has ended, if the server has said so.
                    await asyncio.wait([listening], timeout=1)
            finally:
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
            if (ended := _ENDS.get(socket.close_code or 0)) is not None:
                raise ended
            for end in ends:
                if isinstance(end, Exception):
                    raise end
            return listening.result() if not listening.cancelled() else None

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> float | None:
        wait = None
        while True:
            # Who hears nothing for so long isn't connected, whatever the network believes.
            message = await socket.receive(timeout=self._welcome.silence)
            if message.type is not aiohttp.WSMsgType.TEXT:
                return wait
            try:
                frame = _decode(message.data)
            except msgspec.ValidationError:
                continue  # of a kind that is newer than we are
            if isinstance(frame, frames.Bye):
                wait = random.uniform(0, min(max(frame.after, 0), 3600))
            await self._hear(frame)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(max(1, self._welcome.heartbeat * 0.8))
            await self._say(frames.Ping())

    async def _hear(self, frame: frames.FromServer) -> None:
        match frame:
            case frames.Message():
                await self._know(frame.conversation, frame.device)
                new = self._incoming.take(frame)
                self._seen[frame.conversation] = max(frame.seq, self._seen.get(frame.conversation, 0))
                self._gathered.set()
                self._look.set()
                if new:
                    await self._tell()
            case frames.NoteCame():
                await self._know(frame.conversation, frame.device)
                opened = self._incoming.take_note(frame)
                self._notes.append(frame.note)
                self._gathered.set()
                self._look.set()
                if opened:
                    await self._tell()
            case frames.Sent():
                if self._outgoing.sent(frame):
                    self._stale.pop(frame.id, None)
                    await self._tell()
                elif frame.id in self._noted:
                    self._done(frame.id)
                self._wake.set()
            case frames.Problem():
                await self._problem(frame)
            case frames.Welcome():
                self._welcome = frame
                self.connected.set()
                self._wake.set()
                self._look.set()
                await self._top_up()
            case frames.CaughtUp():
                self.caught_up.set()
                await self._tell()
            case frames.Changed() if frame.what == "self":
                await self._top_up()
            case frames.Changed() if isinstance(frame.conversation, str):
                self._places.pop(frame.conversation, None)
                self._strangers.clear()
            case _:
                pass
        for listener in self.listeners:
            listener(frame)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _acknowledge(self) -> None:
        """Say what is stored, a little later and together."""
        while True:
            await self._gathered.wait()
            await asyncio.sleep(ACK_AFTER)
            self._gathered.clear()
            seen, self._seen = self._seen, {}
            notes, self._notes = self._notes, []
            await self._say(frames.Ack(seen=seen, notes=notes))

    async def _say(self, frame: frames.FromClient) -> None:
        if self._socket is None or self._socket.closed:
            raise ConnectionError("there is no connection")
        await self._socket.send_str(_encode(frame).decode())

    # What goes out.

    async def _problem(self, frame: frames.Problem) -> None:
        if not isinstance(frame.id, str):
            return
        wait = frame.retry_after if isinstance(frame.retry_after, int) else 1
        again = frame.code in ("unavailable", "too_many_requests")
        if frame.id in self._noted:
            # A refused note is forgotten: whoever misses something asks again. Others go when looked after next.
            self._noted.discard(frame.id) if again else self._done(frame.id)
            return
        flying = self._outgoing.back(frame.id)
        if flying is None:
            return
        conversation = flying.queued.conversation
        if frame.code == "stale_members":
            # Whatever else is on its way there is refused as well; it goes again in order once all of it is back.
            self._places.pop(conversation, None)
            self._blocked.setdefault(conversation, 0)
            if frame.revision == flying.revision:
                # Not the revision is wrong, but the devices: the server names some that we don't believe.
                count = self._stale[frame.id] = self._stale.get(frame.id, 0) + 1
                again = count < MOST_STALE
            else:
                again = True
        elif again:
            self._block(conversation, wait)
        if not again:
            await self._refuse(flying.queued, frame.code)
        self._wake.set()

    def _block(self, conversation: str, seconds: float) -> None:
        loop, seconds = asyncio.get_running_loop(), min(max(seconds, 0.1), 300)
        self._blocked[conversation] = loop.time() + seconds
        loop.call_later(seconds + 0.01, self._wake.set)

    async def _refuse(self, queued: Queued, code: str) -> None:
        self._outgoing.drop(queued.id)
        self._stale.pop(queued.id, None)
        if len(self._refused) >= MOST_REFUSED:
            del self._refused[next(iter(self._refused))]
        self._refused[queued.id] = NotSent(code)
        await self._tell()

    async def _pump(self) -> None:
        """Send what is to be sent."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self.connected.is_set():
                continue
            while (queued := self._outgoing.next(self._blocked_now())) is not None:
                await self._send(queued)

    def _blocked_now(self) -> list[str]:
        flying = {each.queued.conversation for each in self._outgoing.flying.values()}
        now = asyncio.get_running_loop().time()
        for conversation, until in list(self._blocked.items()):
            if conversation not in flying and until <= now:
                del self._blocked[conversation]
        return list(self._blocked)

    async def _send(self, queued: Queued) -> None:
        try:
            place = await self._place(queued.conversation)
            if await self._meet(place.id, self._outgoing.needs(place)) and place.kind == "direct":
                # Some may have ended since; the others can't be written to, and the server takes nothing without them.
                self._places.pop(queued.conversation, None)
                place = await self._place(queued.conversation)
            for frame in self._outgoing.seal(queued, place):
                await self._say(frame)
        except NoSession:
            await self._refuse(queued, "no_session")
        except Refused as error:
            if error.status in (403, 404, 410):
                await self._refuse(queued, error.code)
            elif error.status == 429 or error.status >= 500:
                self._block(queued.conversation, error.retry_after or 1)
            else:
                raise

    # What is asked for, and what others ask for.

    async def _fulfil(self) -> None:
        """Send the notes that are to be sent, when something has come and every few seconds."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AFTER):
                    await self._look.wait()
            self._look.clear()
            await self.connected.wait()
            after = 0
            while errands := self._outgoing.errands(after, NOTES):
                for errand in errands:
                    after = errand.n
                    if errand.id not in self._noted:
                        await self._run_errand(errand)

    async def _run_errand(self, errand: Errand) -> None:
        try:
            place = await self._place(errand.conversation)
            device = next((each for each in place.devices if each.id == errand.device), None)
            if device is None:
                self._done(errand.id)
                return
            if errand.fresh or not self._crypto.knows(device.id, place.id):
                await self._meet(place.id, [device])
            note = self._outgoing.note(errand)
        except (NoSession, Refused) as error:
            log.info("note_not_sent", reason=str(error))
            if isinstance(error, NoSession) or error.status in (403, 404, 410):
                self._done(errand.id)
            return
        self._noted.add(errand.id)
        await self._say(note)

    def _done(self, name: str) -> None:
        self._outgoing.done(name)
        self._noted.discard(name)

    async def _look_after(self) -> None:
        """Ask again for what is missing, forget what is over, and see to the prekeys."""
        looked = asyncio.get_running_loop().time()
        await self.caught_up.wait()
        while True:
            self._incoming.ask_again()
            self._look.set()
            if self._keep.forget():
                await self._tell()
            await asyncio.sleep(LOOK_AFTER)
            if asyncio.get_running_loop().time() - looked > 3600:
                looked = asyncio.get_running_loop().time()
                await self._top_up()

    # Who there is.

    async def _meet(self, conversation: str, devices: Sequence[entities.Device]) -> bool:
        """Begin sessions with devices. Whether there are some with which it can't be, since keys are forged or gone."""
        by_id = {device.id: device for device in devices}
        met = set()
        for at in range(0, len(devices), 500):
            for key in (await self.api.claim([device.id for device in devices[at : at + 500]])).keys:
                if key.device in by_id:
                    try:
                        with self._keep.transaction():
                            self._crypto.begin(by_id[key.device], conversation, key)
                    except Forged:
                        log.warning("forged_key", device=key.device)
                    else:
                        met.add(key.device)
        return len(met) < len(by_id)

    async def _place(self, conversation: str) -> Conversation:
        """A conversation with its devices, as far as is known."""
        found = self._places.get(conversation)
        return found or self._learn(await self.api.conversation(conversation))

    async def _know(self, conversation: str, device: str) -> None:
        """Have a sending device's keys. Raises Refused where the server doesn't answer."""
        stranger = conversation, device
        if stranger in self._strangers or self._pinned(device):
            return
        self._places.pop(conversation, None)
        try:
            await self._place(conversation)
        except Refused as error:
            if error.status != 404:
                raise
        if not self._pinned(device):
            self._strangers.add(stranger)

    def _pinned(self, device: str) -> bool:
        return self._keep.one("SELECT 1 FROM device WHERE id = ?", device) is not None

    def _learn(self, place: Conversation) -> Conversation:
        """Believe devices that are new, and remember who may do what. The conversation, without forged devices."""
        honest = []
        with self._keep.transaction():
            for device in place.devices:
                try:
                    self._crypto.pin(device)
                    honest.append(device)
                except Forged:
                    log.warning("forged_device", device=device.id)
            admins = [member.account.id for member in place.members if member.role == "admin"]
            self._keep.run(
                "INSERT OR REPLACE INTO place VALUES (?, ?, ?)",
                place.id,
                place.kind,
                msgspec.json.encode(admins).decode(),
            )
        place = msgspec.structs.replace(place, devices=honest)
        if honest:  # lists of conversations come without devices
            while len(self._places) >= MOST_PLACES:
                del self._places[next(iter(self._places))]
            self._places[place.id] = place
        return place

    async def _top_up(self) -> None:
        """Enough one-time keys at the server, and a fallback key that isn't old."""
        try:
            own = next((each for each in await self.api.devices() if each.id == self.device), None)
            if own is None:
                raise DeviceEnded
            old = self._crypto.fallback_is_old()
            if own.one_time_keys < FEW_KEYS or old:
                with self._keep.transaction():
                    keys = self._crypto.more_keys(max(0, MANY_KEYS - own.one_time_keys), fallback=old)
                await self.api.call("POST", f"/devices/{self.device}/keys", keys)
                self._crypto.published(keys)
        except Refused as error:
            if error.status == 401:
                raise
            log.info("keys_not_added", reason=str(error))  # they are looked after again, in an hour at most
