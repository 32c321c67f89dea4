"""Ends our children when we were killed and couldn't: a process of its own that waits for the end of a pipe.

Run by path with an isolated interpreter, so it imports the standard library only and is up in a few milliseconds.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

#: Seconds a process group gets to end after its signal, before it is killed.
_PATIENCE = 5.0


class Guard:
    """What it watches are the pids of process group leaders. Groups of a lower `stage` are ended before higher ones.

    `keep` are file descriptors that stay open until the work is done: locks that a successor must not get earlier.
    """

    def __init__(self, *, keep: Iterable[int] = ()) -> None:
        self._keep = tuple(keep)
        self._watched: dict[int, str] = {}
        self._process = self._start()

    def watch(self, pid: int, *, stage: int, sign: signal.Signals) -> None:
        self._watched[pid] = f"{pid} {stage} {int(sign)}\n"
        self._tell(self._watched[pid])

    def forget(self, pid: int) -> None:
        """To be called when the process has been waited for: its number may soon be another's."""
        if self._watched.pop(pid, None):
            self._tell(f"{pid} gone\n")

    def renew(self) -> None:
        """Start it again if somebody has ended it."""
        if self._process.poll() is not None:
            self._process = self._start()
            self._tell("".join(self._watched.values()))

    def close(self) -> None:
        """Let it go: nothing is left to end."""
        self._tell("bye\n")
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # renew() tells it all again
            if self._process.stdin:
                self._process.stdin.write(text.encode())

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=self._keep,
            start_new_session=True,
        )


def _end(groups: dict[int, signal.Signals]) -> None:
    for pid, sign in groups.items():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, sign)
    _wait(lambda: not any(_alive(pid) for pid in groups))
    for pid in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    _wait(lambda: not any(_alive(pid) for pid in groups))


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # as macOS says of a zombie
        return False
    return True


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def main() -> None:
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)
    watched: dict[int, tuple[int, signal.Signals]] = {}
    for line in sys.stdin:
        words = line.split()
        if words == ["bye"]:
            return
        if words[1] == "gone":
            watched.pop(int(words[0]), None)
        else:
            watched[int(words[0])] = int(words[1]), signal.Signals(int(words[2]))
    for stage in sorted({stage for stage, _ in watched.values()}):
        _end({pid: sign for pid, (at, sign) in watched.items() if at == stage})


if __name__ == "__main__":
    main()
