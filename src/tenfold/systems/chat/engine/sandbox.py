"""Strangers' Python, run by an interpreter that knows no host, in a process of its own that lives for one run."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final, Literal

import msgspec
import structlog
from pydantic_monty import (
    AsyncMonty,
    AsyncMontySession,
    MontyCrashedError,
    MontyError,
    MontyRuntimeError,
    MontySyntaxError,
    OSPolicy,
    ResourceLimits,
)

from tenfold.platform.errors import Unavailable
from tenfold.systems.chat.settings import ChatSettings

log = structlog.get_logger(__name__)

#: Seconds beyond the time limit after which a process is killed that doesn't stop by itself.
GRACE: Final = 1.0
#: What is shown of a traceback: lines, and characters of a line.
MOST_LINES, WIDEST_LINE = 60, 300
#: Waiting would only hold a place that others wait for, so `time.sleep` returns at once.
POLICY: Final[OSPolicy] = {"sleep": "zero"}

#: How a value is shown that the last line has: as an interactive Python does, in the sandbox and within its limits.
_SHOW: Final = "_ = ({}\n)\nif _ is not None: print(repr(_))"
_SHIFT: Final = len("_ = (")
#: The value of the last statement leaves the sandbox. Nothing does, then: what crosses is text that was printed.
_NOTHING: Final = "\n\nNone"
_FEED: Final = re.compile(r'File "(?:<python-input-\d+>|main\.py)"')
_UNSUPPORTED: Final = re.compile(r"The monty syntax parser does not yet support")


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What code printed, and what went wrong with it: a traceback, as Python shows it."""

    output: str
    error: str | None
    seconds: float
    #: Whether there was more output than is taken.
    truncated: bool


class Sandbox:
    """Runs code, a few at a time. Each run has a fresh process, which is killed when it hangs, floods or isn't wanted
    any more; neither a crash there nor what was left there reaches anybody else."""

    def __init__(self, pool: AsyncMonty, settings: ChatSettings) -> None:
        self.most_code = settings.sandbox_code
        self._pool = pool
        self._settings = settings
        self._room = asyncio.Semaphore(settings.sandbox_at_once)
        self._free = settings.sandbox_at_once + settings.sandbox_waiting
        self._limits: ResourceLimits = {
            "max_feed_duration_secs": float(settings.sandbox_seconds),
            "max_memory": settings.sandbox_memory,
            "max_recursion_depth": settings.sandbox_depth,
        }

    async def run(self, code: str) -> Ran:
        """Run a program to its end or its limits. Raises Unavailable when too many wait already."""
        if self._free <= 0:
            raise Unavailable(part="The sandbox")
        self._free -= 1
        try:
            async with self._room:
                return await self._run(code)
        finally:
            self._free += 1

    async def _run(self, code: str) -> Ran:
        output = _Output(self._settings.sandbox_output)
        began, error = perf_counter(), None
        try:
            # Leaving this block early, by cancellation too, kills the process.
            async with output.scope:
                checkout = self._pool.checkout(
                    script_name="main.py", limits=self._limits, os_policy=POLICY, assert_message_annotations=False
                )
                async with checkout as session:
                    began = perf_counter()
                    await session.feed_run(await _shown(session, code), print_callback=output.take)
        except TimeoutError:
            if not output.full:
                raise
        except MontyError as raised:
            error = self._describe(raised, code)
        except (OSError, RuntimeError) as raised:
            log.exception("sandbox_failed")
            raise Unavailable(part="The sandbox") from raised
        finally:
            output.over = True
        seconds = round(perf_counter() - began, 3)
        return Ran(output=output.text, error=error, seconds=seconds, truncated=output.full)

    def _describe(self, error: MontyError, code: str) -> str:
        too_long = f"TimeoutError: stopped after {self._settings.sandbox_seconds} seconds"
        if isinstance(error, MontyCrashedError):
            return too_long if error.timed_out else "SystemError: the sandbox broke down while it ran this"
        if not isinstance(error, MontyRuntimeError | MontySyntaxError):
            return str(error)
        text = error.display()
        if text.startswith("TimeoutError: feed time limit"):
            return too_long
        if text.startswith("MemoryError: "):  # the allocator has ended the process, which can't tell where it was
            return f"MemoryError: it needed more than {self._settings.sandbox_memory // 1024**2} MB"
        return _traceback(text, code)


class _Output:
    """What a run prints, up to a number of bytes. At the first byte beyond, the run is ended."""

    def __init__(self, most: int) -> None:
        self.scope = asyncio.timeout(None)
        self.full = self.over = False
        self._most = most
        self._parts: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def take(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        """Called from whichever thread reads what the process prints."""
        if self.full:
            return
        data = text.encode(errors="replace")
        self._parts.append(data[: self._most])
        self._most -= len(data)
        if self._most < 0:
            self.full = True
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self.over:
            self.scope.reschedule(self._loop.time())

    @property
    def text(self) -> str:
        return b"".join(self._parts).decode(errors="ignore")


async def _shown(session: AsyncMontySession, code: str) -> str:
    """The program, which also prints the value of its last line if that is an expression.

    Python's own parser would tell, but it isn't made for strangers' code. The sandbox's has to take the line inside
    parentheses and brackets both, which no line does that closes more than it opens; nothing is evaluated by that.
    """
    head, newline, tail = code.rstrip().rpartition("\n")
    if not tail or tail[0].isspace() or tail.startswith(("print(", "#")) or head.rstrip(" ").endswith("\\"):
        return code + _NOTHING
    asked = [f"lambda: ({tail}\n)", f"lambda: [{tail}\n]"]
    try:
        await session.feed_run("\n".join(f"eval({text!r})" for text in asked) + _NOTHING)
    except (MontySyntaxError, MontyRuntimeError):
        return code + _NOTHING
    return head + newline + _SHOW.format(tail) + _NOTHING


def _traceback(text: str, code: str) -> str:
    """A traceback as Python shows it: of the file main.py, and of the lines as they were written."""
    lines = text.split("\n")
    tail = code.rstrip().rpartition("\n")[2]
    for index, line in enumerate(lines):
        if line.startswith(f"    _ = ({tail}"):
            lines[index] = "    " + tail
            marks = lines[index + 1] if index + 1 < len(lines) else ""
            if marks.strip() and not marks.strip(" ~"):
                lines[index + 1] = "    " + marks[4 + _SHIFT :]
    lines = [_narrow(_UNSUPPORTED.sub("the sandbox's Python doesn't support", line)) for line in lines]
    if len(lines) > MOST_LINES:
        half = MOST_LINES // 2
        lines = [*lines[:half], f"  [{len(lines) - 2 * half} lines left out]", *lines[-half:]]
    return _FEED.sub('File "main.py"', "\n".join(lines))


def _narrow(line: str) -> str:
    return line if len(line) <= WIDEST_LINE else line[:WIDEST_LINE] + "…"


@asynccontextmanager
async def open_sandbox(settings: ChatSettings) -> AsyncIterator[Sandbox]:
    """A sandbox, whose processes start when there is something to run, in some milliseconds."""
    pool = AsyncMonty(
        min_processes=0,
        max_processes=settings.sandbox_at_once,
        max_checkouts_per_worker=1,
        request_timeout=settings.sandbox_seconds + 2 * GRACE,
        feed_duration_limit_grace=GRACE,
    )
    async with pool:
        yield Sandbox(pool, settings)
