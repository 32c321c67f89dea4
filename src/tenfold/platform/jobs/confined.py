"""A function in a process of its own, with limits: what a hostile file breaks there ends there."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from tenfold.platform.jobs import enclosure
from tenfold.platform.jobs.enclosure import Answer, Call
from tenfold.platform.jobs.errors import ConfinedFailed

#: Bytes that a function may answer.
MOST_ANSWER = 64 * 1024 * 1024


async def confined(function: Callable[..., Any], args: Sequence[Any], *, seconds: float, memory: int) -> Any:
    """Call a function of a module, with msgspec values in and out, in a process of its own.

    It has `seconds` (of the clock, and of a processor) and `memory` bytes, knows nothing of our environment, and dies
    with us. A cancellation kills it. Raises ConfinedFailed when it raises, dies, or goes beyond its limits.
    """
    call = Call(function.__module__, function.__qualname__, args, memory, seconds, os.getpid())
    # Our settings, and with them our secrets, are none of its business.
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", enclosure.__file__), stdin=PIPE, stdout=PIPE, env=environment, start_new_session=True
    )
    try:
        async with asyncio.timeout(seconds + 2.0):  # it has to start, too
            data = await _talk(process, msgspec.msgpack.encode(call))
            status = await process.wait()
    except TimeoutError:
        raise ConfinedFailed(reason=f"it took longer than {seconds:g} seconds") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
    try:
        answer = msgspec.msgpack.decode(data, type=Answer)
    except msgspec.DecodeError:
        raise ConfinedFailed(reason=_why(status)) from None
    if answer.error is not None:
        raise ConfinedFailed(reason=answer.error)
    return answer.value


async def _talk(process: Process, request: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(ConnectionError):
        process.stdin.write(request)
        await process.stdin.drain()
    process.stdin.close()
    data = bytearray()
    while piece := await process.stdout.read(1 << 16):
        data += piece
        if len(data) > MOST_ANSWER:
            raise ConfinedFailed(reason=f"it answered more than {MOST_ANSWER // 1024**2} MB")
    return bytes(data)


def _why(status: int) -> str:
    if status == -signal.SIGXCPU:
        return "it took too much processor time"
    return f"its process was ended by {signal.Signals(-status).name}" if status < 0 else f"its process ended: {status}"
