"""Generators: wrk for as much as goes, and one of our own for a constant rate whose latencies hide nothing."""

import asyncio
import gc
import re
import select
import shutil
import socket
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

_SCRIPT = Path(__file__).with_name("replay.lua")
#: Ends a request in a file of requests.
END = b"\x1e"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Replayed(msgspec.Struct):
    """What wrk has seen. A request that it sent and whose answer it didn't wait for may or may not have been served."""

    answered: int
    sent: int
    seconds: float
    refused: int
    broken: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return self.answered / self.seconds


def find_wrk() -> str:
    """Where wrk is. Raises SystemExit with what to do where it isn't."""
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit("The benchmark needs wrk: apt install wrk, brew install wrk, or github.com/wg/wrk.")
    return found


def keep(file: Path, requests: Sequence[bytes]) -> Path:
    """Write requests for `replay`."""
    file.write_bytes(b"".join(request + END for request in requests))
    return file


async def replay(port: int, requests: Path, *, seconds: float, connections: int = 64) -> Replayed:
    """As many requests of a file as go, over and over, each connection sending when it has its answer."""
    process = await asyncio.create_subprocess_exec(
        *(find_wrk(), "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", _SCRIPT, f"http://127.0.0.1:{port}"),
        *("--", requests),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    seen = msgspec.json.decode(output.rstrip().rpartition(b"\n")[2], type=Replayed)
    if seen.refused or seen.broken:
        raise SystemExit(f"wrk on port {port}: {seen.refused} refused, {seen.broken} broken\n{output.decode()}")
    return seen


def constant_rate(
    port: int,
    requests: Sequence[bytes],
    *,
    rate: float,
    seconds: float,
    status: bytes,
    connections: int = 64,
    began: float | None = None,
) -> list[float]:
    """Send `rate` requests a second whatever comes back. The latencies in seconds, sorted, a request each.

    The first one goes at `began` of time.perf_counter(). A latency begins at the moment that the schedule has for the
    request, not when a connection was free to send it, so that a pause of the server counts for all who would have come
    meanwhile ("coordinated omission" hides them). Answers have a Content-Length or no body. Raises SystemExit for
    another status.
    """
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for each in sockets:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        each.setblocking(False)
    idle, busy = deque(sockets), dict[socket.socket, tuple[float, bytes]]()
    latencies: list[float] = []
    count, total, different = 0, int(rate * seconds), len(requests)
    clock = time.perf_counter
    expected = b"HTTP/1.1 " + status
    gc.collect()
    gc.disable()
    began = began or clock() + 0.01
    try:
        while len(latencies) < total:
            now = clock()
            while count < total and idle and began + count / rate <= now:
                each = idle.popleft()
                each.send(requests[count % different])
                busy[each] = began + count / rate, b""
                count += 1
            # Unlike the other calls of its kind, this one waits for less than a millisecond where that is asked for.
            due = began + count / rate - clock() if count < total and idle else 1.0
            readable, _, _ = select.select(list(busy), (), (), max(0.0, due))
            now = clock()
            for each in readable:
                intended, so_far = busy[each]
                answer = so_far + each.recv(262_144)
                if not _is_whole(answer):
                    if len(answer) == len(so_far):
                        raise SystemExit(f"port {port}: the server has hung up")
                    busy[each] = intended, answer
                    continue
                if not answer.startswith(expected):
                    raise SystemExit(f"port {port}: {answer[:200]!r}")
                latencies.append(now - intended)
                del busy[each]
                idle.append(each)
    finally:
        gc.enable()
        for each in sockets:
            each.close()
    return sorted(latencies)


def _is_whole(answer: bytes) -> bool:
    """Whether head and body of an answer are there."""
    end = answer.find(b"\r\n\r\n") + 4
    if end < 4:
        return False
    length = _LENGTH.search(answer, 0, end)
    return len(answer) - end >= (int(length[1]) if length else 0)
