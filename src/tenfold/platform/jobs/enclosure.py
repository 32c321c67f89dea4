"""The other end of a confined call: a process that sets its limits, calls one function, and answers.

Run by path, so it imports next to nothing of ours and is there in a few hundredths of a second.
"""

import ctypes
import importlib
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

_PR_SET_PDEATHSIG = 1


class Call(msgspec.Struct, frozen=True):
    module: str
    function: str
    args: Sequence[Any]
    memory: int
    seconds: float
    #: The process that waits for the answer.
    parent: int


class Answer(msgspec.Struct, frozen=True):
    value: Any = None
    error: str | None = None


def main() -> None:
    """Read a call, answer it."""
    call = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Call)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != call.parent:
        return  # who asked died before we could say that we die with it
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    for what, most in (
        (resource.RLIMIT_AS, call.memory),
        (resource.RLIMIT_CPU, int(call.seconds) + 1),
        (resource.RLIMIT_CORE, 0),
    ):
        # What a system doesn't know stays unlimited there; the time is watched from outside all the same.
        with suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))
    try:
        function: Any = importlib.import_module(call.module)
        for name in call.function.split("."):
            function = getattr(function, name)
        answer = msgspec.msgpack.encode(Answer(function(*call.args)))
    except MemoryError:
        answer = msgspec.msgpack.encode(Answer(error=f"it needs more than {call.memory // 1024**2} MB of memory"))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is said and not passed on
        answer = msgspec.msgpack.encode(Answer(error=f"{type(error).__name__}: {error}"[:500]))
    answers.write(answer)
    answers.close()


if __name__ == "__main__":
    main()
