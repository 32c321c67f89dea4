"""Ends our children when we were killed and couldn't: a process of its own that waits for the end of a pipe.

Run by path with an isolated interpreter, so it imports the standard library only and is up in a few milliseconds.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

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


class Process(NamedTuple):
    pid: int
    parent: int
    group: int
    #: "Z" is one that has ended and that its parent hasn't noticed yet.
    state: str
    #: Bytes in memory.
    size: int


def processes() -> list[Process]:
    """All that run on this machine: from /proc, or from ps where there is none."""
    proc, page = Path("/proc"), os.sysconf("SC_PAGE_SIZE")
    found = []
    if (proc / "self/stat").exists():
        for entry in proc.iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):  # it may have gone meanwhile
                    words = (entry / "stat").read_text().rpartition(")")[2].split()  # a name may have spaces
                    found.append(
                        Process(int(entry.name), int(words[1]), int(words[2]), words[0], int(words[21]) * page)
                    )
    else:
        command = ("ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,rss=")
        for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
            pid, parent, group, state, kilobytes = line.split()
            found.append(Process(int(pid), int(parent), int(group), state[0], int(kilobytes) * 1024))
    return found


def _end(groups: dict[int, signal.Signals]) -> None:
    for pid, sign in groups.items():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, sign)
    if not _wait_for_end(groups):
        for pid in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        _wait_for_end(groups)


def _wait_for_end(groups: Collection[int]) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while any(process.group in groups and process.state != "Z" for process in processes()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


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
