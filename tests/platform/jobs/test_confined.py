"""Functions in processes of their own: what they may need is bounded, and what they break is theirs."""

import asyncio
import binascii
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tenfold.platform.jobs import ConfinedFailed
from tenfold.platform.jobs import confined as module
from tenfold.platform.jobs.confined import confined

MB = 1024 * 1024


async def call(function: Any, *args: Any, seconds: float = 20.0, memory: int = 1024 * MB) -> Any:
    return await confined(function, args, seconds=seconds, memory=memory)


async def test_values_go_in_and_come_out() -> None:
    assert await call(os.path.join, "a", "b") == "a/b"
    assert await call(sorted, [3, 1, 2]) == [1, 2, 3]
    assert await call(binascii.unhexlify, "00ff") == b"\x00\xff"


async def test_it_knows_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENFOLD_SECRET", "ours")
    assert await call(os.getenv, "TENFOLD_SECRET", "nothing") == "nothing"


async def test_an_error_is_said_and_not_raised_as_itself() -> None:
    with pytest.raises(ConfinedFailed, match="Error: Non-hexadecimal"):
        await call(binascii.unhexlify, "hex!")


async def test_memory_is_bounded() -> None:
    with pytest.raises(ConfinedFailed, match="200 MB of memory"):
        await call(bytes, 400 * MB, memory=200 * MB)


async def test_time_is_bounded() -> None:
    with pytest.raises(ConfinedFailed, match=r"longer than 0\.2 seconds"):
        await call(time.sleep, 3600, seconds=0.2)


async def test_what_dies_says_of_what() -> None:
    with pytest.raises(ConfinedFailed, match="SIGSEGV"):
        await call(signal.raise_signal, int(signal.SIGSEGV))


async def test_an_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ANSWER", MB)
    with pytest.raises(ConfinedFailed, match="more than 1 MB"):
        await call(bytes, 2 * MB)


async def test_a_cancellation_kills_it(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # Opening a pipe waits for the other end, so we know of its life, and by the end of the file of its death.
    task = asyncio.create_task(call(os.execvp, "sh", ["sh", "-c", f"exec sleep 1000 > {fifo}"]))
    reader = await asyncio.to_thread(fifo.open, "rb")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(reader.read) == b""
    reader.close()
