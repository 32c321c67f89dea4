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
#: Seconds that a conversation is expected back at its replica.
STICKY = 3600

# KEYS: load (replica -> requests), leases (by when they end), told (lease -> replica, process, sticky; who waits
# has no replica), waiting (lease by its turn), clock (caller -> next turn; "" -> the turn that was served last).
# ARGV: prefix of sticky keys, milliseconds of a lease, how many replicas; id, slots and weight of each; then the rest.
_SHARED = f"""
local load, leases, told, waiting, clock = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
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

local function keep(id, replica, process, sticky)
  call('HSET', told, id, replica .. '\\n' .. process .. '\\n' .. sticky)
  call('ZADD', leases, now + life, id)
  if replica ~= '' then call('HINCRBY', load, replica, 1) end
end

local function free(id)
  local what = call('HGET', told, id)
  if not what then return end
  local replica = what:match('^[^\\n]*')
  call('HDEL', told, id)
  call('ZREM', leases, id)
  call('ZREM', waiting, id)
  if replica ~= '' and call('HINCRBY', load, replica, -1) <= 0 then call('HDEL', load, replica) end
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
    local process, sticky = (call('HGET', told, id) or '\\n\\n'):match('^[^\\n]*\\n([^\\n]*)\\n(.*)$')
    local replica = choose(sticky)
    if not replica then return granted end
    call('ZREM', waiting, id)
    call('HSET', clock, '', first[2])
    keep(id, replica, process, sticky)
    granted[#granted + 1] = id
    granted[#granted + 1] = process
    granted[#granted + 1] = replica
  end
end
"""
# Rest: lease, process, caller, sticky, how many may wait. The replica or "", and the place; -1: the queue is full.
_TAKE = Script(
    _SHARED
    + """
local id, process, caller, sticky, most = ARGV[rest], ARGV[rest + 1], ARGV[rest + 2], ARGV[rest + 3], ARGV[rest + 4]
sweep()
local queue = call('ZCARD', waiting)
local replica = queue == 0 and choose(sticky)
if replica then
  keep(id, replica, process, sticky)
  return {replica, 0}
end
if queue >= tonumber(most) then return {'', -1} end
local turn = math.max(tonumber(call('HGET', clock, '')) or 0, tonumber(call('HGET', clock, caller)) or 0)
call('HSET', clock, caller, turn + 1)
call('ZADD', waiting, turn, id)
keep(id, '', process, sticky)
return {'', call('ZRANK', waiting, id) + 1}
"""
)
# Rest: lease. What others get.
_FREE = Script(
    _SHARED
    + """
free(ARGV[rest])
sweep()
return grant({})
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
local what = call('HGET', told, id)
granted[1] = what and what:match('^[^\\n]*') or ''
granted[2] = what and ((call('ZRANK', waiting, id) or -1) + 1) or -1
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


class Slots:
    """The queue of every tier, for one process."""

    def __init__(self, hot: Hot, bus: Bus, *, most: int) -> None:
        self._hot = hot
        self._bus = bus
        self._most = str(most)
        self._process = bus.new_id()
        self._leases: dict[str, Lease] = {}

    @property
    def subject(self) -> str:
        return f"inference.{self._process}"

    async def open(self) -> None:
        """Begin to hear of slots that other processes hand over."""
        self._stop = await self._bus.on_broadcast(self.subject, self._heard)
        self._beat = asyncio.create_task(self._renew())

    async def close(self) -> None:
        self._beat.cancel()
        await self._stop()

    async def take(self, tier: str, seats: Sequence[Seat], caller: str, sticky: str) -> Lease:
        """A lease that has a replica, or waits for one. Raises InferenceBusy when too many wait already.

        While Valkey is away nobody waits: the least busy for this process is as good a guess as there is.
        """
        lease = Lease(tier, f"{time_ns():x}.{self._bus.new_id()}")
        self._leases[lease.id] = lease
        rest = [lease.id, self._process, caller.replace("\n", " "), sticky.replace("\n", " "), self._most]
        try:
            replica, place = await self._run(_TAKE, tier, seats, rest)
        except Unavailable:
            self._leases.pop(lease.id)
            lease.shared = False
            if not seats:
                raise
            lease.granted.set_result(min(seats, key=lambda seat: self._here(seat.id) / seat.weight).id)
            self._leases[lease.id] = lease
            return lease
        except BaseException:
            self._leases.pop(lease.id)
            raise
        lease.place = int(place)
        if lease.place < 0:
            self._leases.pop(lease.id)
            raise InferenceBusy(retry_after=10)
        if replica:
            self._grant(lease.id, replica.decode())
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

    async def free(self, lease: Lease, seats: Sequence[Seat]) -> None:
        """Leave the replica, or the queue."""
        if self._leases.pop(lease.id, None) is None or not lease.shared:
            return
        try:
            await self._hand_over(await self._run(_FREE, lease.tier, seats, [lease.id]))
        except Unavailable:
            log.info("inference_slot_not_freed", tier=lease.tier)  # it ends by itself

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
        keys = [self._hot.key("inference", tag, part) for part in ("load", "leases", "told", "waiting", "clock")]
        args = [self._hot.key("inference", tag, "sticky", ""), str(int(LIFE * 1000)), str(len(seats))]
        for seat in seats:
            args += (seat.id, str(seat.slots), str(seat.weight))
        answer = await self._hot.run(script, keys, [*args, *rest])
        return cast("list[bytes]", answer) if isinstance(answer, list) else []
