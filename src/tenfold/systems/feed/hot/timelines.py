"""Home timelines in Valkey: rings of packed ids, written by the fan-out where they are, rebuilt for who comes back.

A timeline is one string of 8-byte words: a head, how often was pushed, a tail for the newest ids, and a ring of as many
places as it keeps ids, 0 where there is none. A push writes count and tail in one piece; a full tail goes to the ring.
The size never changes, so that Valkey writes in place and keeps no room for growth. The head is the number of the build
that filled it, or minus that number while it is being filled: what is pushed meanwhile is kept, and the build puts what
it found before it. What was pushed twice is there twice, and in any order; readers sort, and see an id once.

Nothing of it goes to Valkey's append-only file or replicas, which would take more time than the pushes themselves. So a
server that comes back from its disk, or a replica that takes over, may have timelines that lack what was pushed last.
They are known by the run of the server, of which each build number holds a hash, and are as if they weren't there.
"""

import asyncio
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import monotonic
from zlib import crc32

from tenfold.platform.hot import Hot, Script
from tenfold.systems.feed.rules import timelines as rules

#: Timelines share slots of a cluster in so many buckets, so that one script delivers to many.
BUCKETS = 64
#: Deliveries of one call, during which the server does nothing else (about 1 ms), and calls of one push under way:
#: one is made ready while another runs, and none waits behind more than a few of its own.
CALL, CALLS = 200, 4
#: Seconds that somebody may take to fill a timeline; afterwards the next reader begins anew.
FILLING = 30.0
#: Seconds between looks whether the server is still the same.
LOOK = 1.0
#: Ids of the tail. A write costs much more than its bytes, so all but each eighth push do with one.
TAIL = 8

_HEAD = 16  # bytes before the tail
_RUN = re.compile(rb"^run_id:(\w+)", re.MULTILINE)

# KEYS: timelines. ARGV: places of a ring, then packed ids: one for all, or one for each key.
_PUSH = Script(f"""
redis.set_repl(redis.REPL_NONE)
local call, pack, unpack = redis.call, struct.pack, struct.unpack
local places, pushed = tonumber(ARGV[1]), 0
for i, key in ipairs(KEYS) do
  local now = call('GETRANGE', key, 8, {_HEAD + 8 * TAIL - 9})
  if now ~= '' then
    local count = unpack('<I8', now)
    local held = count % {TAIL}
    local tail = now:sub(9, 8 + 8 * held) .. (ARGV[1 + i] or ARGV[2])
    if held == {TAIL - 1} then
      call('SETRANGE', key, {_HEAD + 8 * TAIL} + 8 * ((count - held) % places), tail)
      tail = ''
    end
    call('SETRANGE', key, 8, pack('<I8', count + 1) .. tail)
    pushed = pushed + 1
  end
end
return pushed
""")

# KEYS: a timeline. ARGV: places, the head it should have, the one it gets, packed ids, milliseconds.
_FILL = Script(f"""
redis.set_repl(redis.REPL_NONE)
local bytes = 8 * tonumber(ARGV[1])
local now = redis.call('GET', KEYS[1])
if not now or now:sub(1, 8) ~= ARGV[2] then return 0 end
local count = struct.unpack('<I8', now:sub(9, 16))
local held = count % {TAIL}
local ring = now:sub({_HEAD + 8 * TAIL} + 1, {_HEAD + 8 * TAIL} + math.min(8 * (count - held), bytes))
local ids = (ARGV[4] .. ring .. now:sub({_HEAD} + 1, {_HEAD} + 8 * held)):sub(-bytes)
count = math.ceil(#ids / {8 * TAIL}) * {TAIL}
local empty = string.rep('\\0', {8 * TAIL})
ids = empty .. ids .. string.rep('\\0', bytes - #ids)
redis.call('SET', KEYS[1], ARGV[3] .. struct.pack('<I8', count) .. ids, 'PX', ARGV[5])
return 1
""")


class Timelines:
    """The home timelines of all readers. Everything here raises Unavailable while Valkey is away."""

    def __init__(self, hot: Hot, *, length: int, seconds: float) -> None:
        self._hot = hot
        self._milliseconds = int(seconds * 1000)
        self._places = str(-(-length // TAIL) * TAIL)  # a tail goes into the ring as a whole
        self._prefixes = [hot.key("feed", "home", f"{{{bucket}}}", "") for bucket in range(BUCKETS)]
        #: A hash of 31 bits of the server's run, or of all of a cluster's, and when to look again.
        self._run = 0
        self._look_at = 0.0
        #: Deliveries to timelines that were there, for telemetry.
        self.pushed = 0
        self.rebuilt = 0

    async def read(self, account_id: int) -> rules.Ids | None:
        """The ids of a timeline, ascending, some 0 or twice, and a longer life for it; None when it must be filled."""
        await self._look()
        packed = await self._hot.get_and_prolong(self.key(account_id), self._milliseconds)
        if packed is None or int.from_bytes(packed[:8], "little", signed=True) >> 31 != self._run:
            return None  # not there, of another run, or being filled: then the head is negative
        ids = rules.unpack(packed)[2:].copy()
        ids.sort()
        return ids

    async def _look(self) -> None:
        """See now and then whether the server has restarted, or another one has taken its place."""
        now = monotonic()
        if now < self._look_at:
            return
        if self._run:
            self._look_at = now + LOOK  # the others go on with what is known
        with self._hot.guard:
            info = await self._hot.client.info()
        runs = [_RUN.search(each) for each in (info.values() if isinstance(info, dict) else [info])]
        self._run = crc32(b"".join(sorted(run[1] for run in runs if run))) >> 1 or 1
        self._look_at = now + LOOK

    async def begin(self, account_id: int) -> int:
        """Begin to fill a timeline; what is pushed from now on is kept. The number of this build."""
        await self._look()
        build = self._run << 31 | secrets.randbits(31)
        await self._hot.set_many([(self.key(account_id), rules.pack([-build, 0]), int(FILLING * 1000))])
        return build

    async def fill(self, account_id: int, build: int, ids: Iterable[int]) -> bool:
        """End a build. False when another one began after it, or the timeline was dropped: then nothing happens."""
        args: list[str | bytes] = [
            self._places,
            rules.pack([-build]),
            rules.pack([build]),
            rules.pack(ids),
            str(self._milliseconds),
        ]
        filled = await self._hot.run(_FILL, [self.key(account_id)], args)
        self.rebuilt += bool(filled)
        return bool(filled)

    async def push(self, post_id: int, account_ids: Sequence[int]) -> int:
        """Deliver a post to those of the readers that have a timeline. To how many."""
        return await self.push_many({post_id: account_ids})

    async def push_many(self, readers: Mapping[int, Sequence[int]]) -> int:
        """Deliver posts (by id) to readers. How many deliveries met a timeline."""
        calls = self._calls(readers)
        pushed = sum(await asyncio.gather(*(self._push(calls) for _ in range(CALLS))))
        self.pushed += pushed
        return pushed

    def _calls(self, readers: Mapping[int, Sequence[int]]) -> Iterator[tuple[list[str], list[str | bytes]]]:
        """Keys and arguments of the calls that deliver."""
        alone, clustered, prefixes = len(readers) == 1, self._hot.clustered, self._prefixes
        groups: dict[int, tuple[list[str], list[str | bytes]]] = {}
        for post_id, account_ids in readers.items():
            packed = rules.pack([post_id])
            for account_id in account_ids:
                bucket = account_id % BUCKETS
                group = bucket if clustered else 0
                try:
                    keys, args = groups[group]
                except KeyError:
                    keys, args = groups[group] = [], [self._places, packed] if alone else [self._places]
                keys.append(f"{prefixes[bucket]}{account_id}")
                if not alone:
                    args.append(packed)
                if len(keys) == CALL:
                    yield groups.pop(group)
        yield from groups.values()

    async def _push(self, calls: Iterator[tuple[list[str], list[str | bytes]]]) -> int:
        """Make those of the calls that nobody else has taken."""
        pushed = 0
        for keys, args in calls:
            met = await self._hot.run(_PUSH, keys, args)
            assert isinstance(met, int)
            pushed += met
        return pushed

    async def drop(self, account_ids: Iterable[int]) -> None:
        """Forget timelines, because whom somebody follows has changed. They are filled when they are read."""
        await self._hot.delete([self.key(account_id) for account_id in account_ids])

    def key(self, account_id: int) -> str:
        """Where a timeline is kept."""
        return f"{self._prefixes[account_id % BUCKETS]}{account_id}"
