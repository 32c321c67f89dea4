"""Who may ask which replica, and who waits for whom: slots and a fair queue that all processes share, in Valkey.

A replica works on as many requests at once as it has slots. When all are taken, requests wait in one queue a tier, in
the order of start-time fair queueing (Goyal, Vin and Cheng, 1996): each request of a caller begins a turn after the
caller's last one, so that somebody with a hundred requests delays others by one each. Whoever frees a slot hands it to
the first in the queue. A process that dies is noticed by its leases, which it would have renewed.

A conversation goes back to the replica that had it last, which still holds its prefix, when that has a free slot;
otherwise requests go where the least is under way for the replica's weight.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import batched
from time import time_ns
from typing import cast

import msgspec
import structlog

from tenfold.platform.bus import Bus
from tenfold.platform.errors import Unavailable
from tenfold.platform.hot import Hot, Script
from tenfold.platform.inference.types import InferenceBusy

log = structlog.get_logger(__name__)

#: Seconds that a lease lives without being renewed, and between renewals.
LIFE, BEAT = 15.0, 5.0
#: Seconds between looks of those who wait: at their place, and whether word of a free slot was lost.
LOOK = 1.0
#: Requests that begin, and that end, in one call.
TURN = 64
#: Seconds that a conversation is expected back at its replica.
STICKY = 3600

# KEYS: load (replica -> requests), leases (by when they end), told (lease -> replica, process, caller, sticky; who
# waits has no replica), waiting (lease by its turn), clock (caller -> next turn; "" -> the turn that was served last),
# crowd (caller -> how many wait).
# ARGV: prefix of sticky keys, milliseconds of a lease, how many replicas; id, slots and weight of each; then the rest.
_SHARED = f"""
local load, leases, told, waiting, clock, crowd = unpack(KEYS)
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local prefix, life, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local rest = 4 + 3 * count

local function choose(sticky)
  local held = sticky ~= '' and call('GET', prefix .. sticky)
  local best, least
  for at = 4, rest - 1, 3 do
    local busy = tonumber(call('HGET', load, ARGV[at])) or 0
    if busy < tonumber(ARGV[at + 1]) then
      local work = ARGV[at] == held and -1 or busy / tonumber(ARGV[at + 2])
      if not least or work < least then best, least = ARGV[at], work end
    end
  end
  if best and sticky ~= '' then call('SET', prefix .. sticky, best, 'EX', {STICKY}) end
  return best
end

local function keep(id, replica, process, caller, sticky)
  call('HSET', told, id, replica .. '\\n' .. process .. '\\n' .. caller .. '\\n' .. sticky)
  call('ZADD', leases, now + life, id)
  if replica ~= '' then call('HINCRBY', load, replica, 1) end
end

local function less(key, field)
  if call('HINCRBY', key, field, -1) <= 0 then call('HDEL', key, field) end
end

local function told_of(id)
  local what = call('HGET', told, id)
  if what then return what:match('^([^\\n]*)\\n([^\\n]*)\\n([^\\n]*)\\n(.*)$') end
end

local function free(id)
  local replica, _, caller = told_of(id)
  if not replica then return end
  call('HDEL', told, id)
  call('ZREM', leases, id)
  if call('ZREM', waiting, id) == 1 then less(crowd, caller) end
  if replica ~= '' then less(load, replica) end
end

local function sweep()
  for _, id in ipairs(call('ZRANGE', leases, '-inf', now, 'BYSCORE', 'LIMIT', 0, 64)) do free(id) end
end

-- Hands free slots to who waits: lease, process and replica of each.
local function grant(granted)
  while true do
    local first = call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
    if not first[1] then
      call('DEL', clock)
      return granted
    end
    local id = first[1]
    local _, process, caller, sticky = told_of(id)
    local replica = choose(sticky or '')
    if not replica then return granted end
    call('ZREM', waiting, id)
    if process then  -- else Valkey has lost what it was told, and whoever waits begins anew
      less(crowd, caller)
      call('HSET', clock, '', first[2])
      keep(id, replica, process, caller, sticky)
      granted[#granted + 1] = id
      granted[#granted + 1] = process
      granted[#granted + 1] = replica
    end
  end
end
"""
# Rest: how many may wait, and how many of one caller; how many leases end, and these; then lease, process, caller and
# sticky of each that begins. For each of these the replica or "", and the place (-1: too many wait); then what others
# get.
_TURN = Script(
    _SHARED
    + """
local most, each, ended = tonumber(ARGV[rest]), tonumber(ARGV[rest + 1]), tonumber(ARGV[rest + 2])
for at = rest + 3, rest + 2 + ended do free(ARGV[at]) end
sweep()
local granted, taken = grant({}), {}
for at = rest + 3 + ended, #ARGV, 4 do
  local id, process, caller, sticky = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local queue = call('ZCARD', waiting)
  local replica, place = queue == 0 and choose(sticky), 0
  if replica then
    keep(id, replica, process, caller, sticky)
  elseif queue >= most or (tonumber(call('HGET', crowd, caller)) or 0) >= each then
    place = -1
  else
    local turn = math.max(tonumber(call('HGET', clock, '')) or 0, tonumber(call('HGET', clock, caller)) or 0)
    call('HSET', clock, caller, turn + 1)
    call('ZADD', waiting, turn, id)
    call('HINCRBY', crowd, caller, 1)
    keep(id, '', process, caller, sticky)
    place = call('ZRANK', waiting, id) + 1
  end
  taken[#taken + 1] = replica or ''
  taken[#taken + 1] = place
end
for _, what in ipairs(granted) do taken[#taken + 1] = what end
return taken
"""
)
# Rest: lease. Its replica or "", its place (-1: it is unknown), and what others get.
_SEE = Script(
    _SHARED
    + """
local id = ARGV[rest]
call('ZADD', leases, 'XX', now + life, id)
sweep()
local granted = grant({'', 0})
local replica = told_of(id)
granted[1] = replica or ''
granted[2] = replica and ((call('ZRANK', waiting, id) or -1) + 1) or -1
return granted
"""
)
# Rest: leases. They live on.
_RENEW = Script(
    _SHARED
    + """
for at = rest, #ARGV do call('ZADD', leases, 'XX', now + life, ARGV[at]) end
return 0
"""
)


class Seat(msgspec.Struct, frozen=True):
    """A replica as the queue sees it."""

    id: str
    slots: int
    weight: float


class Lease:
    """A request's place: in the queue first, then at a replica."""

    __slots__ = ("granted", "id", "place", "shared", "tier")

    def __init__(self, tier: str, id: str) -> None:
        self.tier = tier
        self.id = id
        self.place = 0
        #: The replica, as soon as there is one.
        self.granted: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        #: False when Valkey was away: then nobody else knows of it.
        self.shared = True


@dataclass(slots=True)
class _Taking:
    """Who wants a slot, and waits for the first answer."""

    lease: Lease
    caller: str
    sticky: str
    place: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(slots=True)
class _Gathered:
    takes: list[_Taking] = field(default_factory=list)
    #: Leases.
    ends: list[str] = field(default_factory=list)


class Slots:
    """The queue of every tier, for one process."""

    def __init__(self, hot: Hot, bus: Bus, *, most: int, each: int) -> None:
        """At most `most` requests wait, of which `each` are of one caller."""
        self._hot = hot
        self._bus = bus
        self._bounds = str(most), str(each)
        self._process = bus.new_id()
        self._leases: dict[str, Lease] = {}
        #: What goes to Valkey next, and the calls under way, by tier and seats.
        self._gathered: dict[tuple[object, ...], _Gathered] = {}
        self._turns: dict[tuple[object, ...], asyncio.Task[None]] = {}

    @property
    def subject(self) -> str:
        return f"inference.{self._process}"

    async def open(self) -> None:
        """Begin to hear of slots that other processes hand over."""
        self._stop = await self._bus.on_broadcast(self.subject, self._heard)
        self._beat = asyncio.create_task(self._renew())

    async def close(self) -> None:
        self._beat.cancel()
        await self.settle()
        await self._stop()

    async def take(self, tier: str, seats: Sequence[Seat], caller: str, sticky: str) -> Lease:
        """A lease that has a replica, or waits for one. Raises InferenceBusy when too many wait already.

        While Valkey is away nobody waits: the least busy for this process is as good a guess as there is.
        """
        lease = Lease(tier, f"{time_ns():x}.{self._bus.new_id()}")
        self._leases[lease.id] = lease
        taking = _Taking(lease, caller.replace("\n", " "), sticky.replace("\n", " "))
        self._gather(tier, seats).takes.append(taking)
        try:
            await taking.place
        except Unavailable:
            self._leases.pop(lease.id)
            lease.shared = False
            if not seats:
                raise
            lease.granted.set_result(min(seats, key=lambda seat: self._here(seat.id) / seat.weight).id)
            self._leases[lease.id] = lease
            return lease
        except asyncio.CancelledError:
            self.free(lease, seats)
            raise
        if lease.place < 0:
            self._leases.pop(lease.id)
            raise InferenceBusy(retry_after=10)
        return lease

    async def wait(self, lease: Lease, seats: Sequence[Seat]) -> str | None:
        """The replica, when there is one within a second; else None, and the lease has its place."""
        done, _ = await asyncio.wait([lease.granted], timeout=LOOK)
        if not done:
            try:
                replica, place, *granted = await self._run(_SEE, lease.tier, seats, [lease.id])
            except Unavailable:
                return None
            await self._hand_over(granted)
            if replica:
                self._grant(lease.id, replica.decode())
            elif int(place) < 0 and not lease.granted.done():  # Valkey has lost it: the queue begins anew
                raise InferenceBusy(retry_after=1)
            lease.place = int(place)
        return lease.granted.result() if lease.granted.done() else None

    def free(self, lease: Lease, seats: Sequence[Seat]) -> None:
        """Leave the replica, or the queue, in a moment."""
        if self._leases.pop(lease.id, None) is not None and lease.shared:
            self._gather(lease.tier, seats).ends.append(lease.id)

    async def settle(self) -> None:
        """Wait until all that began and ended is known to Valkey."""
        while self._turns:
            await asyncio.wait(list(self._turns.values()))

    def _gather(self, tier: str, seats: Sequence[Seat]) -> "_Gathered":
        """What goes with the next call. One is under way at a time: who comes meanwhile shares the next."""
        key = (tier, *seats)
        gathered = self._gathered.get(key)
        if gathered is None:
            gathered = self._gathered[key] = _Gathered()
        if key not in self._turns:
            self._turns[key] = asyncio.create_task(self._turn(key, tier, seats))
        return gathered

    async def _turn(self, key: tuple[object, ...], tier: str, seats: Sequence[Seat]) -> None:
        try:
            while (gathered := self._gathered.pop(key, None)) is not None:
                while gathered.takes or gathered.ends:
                    takes, gathered.takes = gathered.takes[:TURN], gathered.takes[TURN:]
                    ends, gathered.ends = gathered.ends[:TURN], gathered.ends[TURN:]
                    await self._call(tier, seats, [each for each in takes if not each.place.cancelled()], ends)
        finally:
            del self._turns[key]

    async def _call(self, tier: str, seats: Sequence[Seat], takes: "list[_Taking]", ends: list[str]) -> None:
        rest = [*self._bounds, str(len(ends)), *ends]
        for each in takes:
            rest += (each.lease.id, self._process, each.caller, each.sticky)
        try:
            answer = await self._run(_TURN, tier, seats, rest)
        except Exception as error:  # noqa: BLE001 - told to those who wait for it
            if ends:
                log.info("inference_slots_not_freed", tier=tier, leases=len(ends))  # they end by themselves
            for each in takes:
                if not each.place.done():
                    each.place.set_exception(error)
            return
        for each, replica, place in zip(takes, answer[: 2 * len(takes) : 2], answer[1::2], strict=False):
            each.lease.place = int(place)
            if replica:
                self._grant(each.lease.id, replica.decode())
            if not each.place.done():
                each.place.set_result(None)
        await self._hand_over(answer[2 * len(takes) :])

    def _here(self, replica: str) -> int:
        return sum(
            lease.granted.done() and not lease.granted.cancelled() and lease.granted.result() == replica
            for lease in self._leases.values()
        )

    async def _hand_over(self, granted: Sequence[bytes]) -> None:
        for lease, process, replica in batched(granted, 3):
            if process.decode() == self._process:
                self._grant(lease.decode(), replica.decode())
            else:  # lost words are made up for by the looks of who waits
                await self._bus.send(f"_broadcast.inference.{process.decode()}", b"\n".join((lease, replica)))

    async def _heard(self, payload: bytes) -> None:
        lease, _, replica = payload.decode().partition("\n")
        self._grant(lease, replica)

    def _grant(self, id: str, replica: str) -> None:
        lease = self._leases.get(id)
        if lease is not None and not lease.granted.done():
            lease.granted.set_result(replica)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            for tier in {lease.tier for lease in self._leases.values()}:
                ids = [lease.id for lease in self._leases.values() if lease.tier == tier and lease.shared]
                try:
                    await self._run(_RENEW, tier, (), ids)
                except Unavailable:
                    continue

    async def _run(self, script: Script, tier: str, seats: Sequence[Seat], rest: Sequence[str]) -> list[bytes]:
        tag = f"{{{tier}}}"
        keys = [
            self._hot.key("inference", tag, part) for part in ("load", "leases", "told", "waiting", "clock", "crowd")
        ]
        args = [self._hot.key("inference", tag, "sticky", ""), str(int(LIFE * 1000)), str(len(seats))]
        for seat in seats:
            args += (seat.id, str(seat.slots), str(seat.weight))
        answer = await self._hot.run(script, keys, [*args, *rest])
        return cast("list[bytes]", answer) if isinstance(answer, list) else []
