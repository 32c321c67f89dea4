"""What all benchmarks share: rows with a verdict, the machine they hold for, processes on cores of their own."""

import asyncio
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

_CORES = sorted(os.sched_getaffinity(0))
#: The core of the process under test, and the cores of everything else: engines, workers, generators.
OURS, OTHERS = {_CORES[0]}, set(_CORES[1:] or _CORES)


# Rows


class Row(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A claim, what was measured, and the limit on the same machine in the same run."""

    claim: str
    measured: float
    unit: str
    #: The limit in the same unit, and what it is the limit of.
    limit: float | None = None
    limit_of: str = ""
    #: What is wanted, and whether it was met; without a wish it's a figure that others follow from.
    wanted: str = ""
    met: bool | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.measured / self.limit if self.limit else None

    @property
    def verdict(self) -> str:
        return "" if self.met is None else ("met" if self.met else "NOT MET")


class Report(msgspec.Struct, kw_only=True):
    """A run, as it is kept in bench/results."""

    system: str
    date: str
    command: str
    quick: bool
    machine: dict[str, str]
    versions: dict[str, str]
    rows: list[Row] = []
    #: Plain numbers for others: a capacity estimation, a chart.
    figures: dict[str, float] = {}
    notes: list[str] = []

    def add(self, row: Row) -> None:
        """Keep a row and print it."""
        self.rows.append(row)
        print(" | ".join(cells(row)) + (f"\n      {row.note}" if row.note else ""), flush=True)

    def say(self, note: str) -> None:
        self.notes.append(note)
        print(f"  {note}", flush=True)


def cells(row: Row) -> list[str]:
    """A row in the words of a table: claim, measured, limit, ratio, verdict."""
    limit = f"{number(row.limit)} {row.unit} ({row.limit_of})" if row.limit is not None else ""
    ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
    verdict = f"{row.verdict} ({row.wanted})" if row.wanted else row.verdict
    return [row.claim, f"{number(row.measured)} {row.unit}", limit, ratio, verdict]


def number(value: float) -> str:
    """Three digits that matter."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def report(system: str, packages: Sequence[str], *, quick: bool) -> Report:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    busy = os.getloadavg()[0]
    machine = {
        "processor": _processor(),
        "cores": str(len(_CORES)),
        "memory": f"{memory / 1024**3:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "load": f"load average {busy:.1f} before the run",
    }
    versions = {"python": platform.python_version()} | {name: version(name) for name in packages}
    command = f"tenfold bench {system}" + (" --quick" if quick else "")
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Report(system=system, date=date, command=command, quick=quick, machine=machine, versions=versions)


def show_head(report: Report) -> None:
    print(f"{report.command}, {report.date}")
    print("  " + ", ".join([*report.machine.values(), f"Python {report.versions['python']}"]))
    print("claim | measured | limit measured in the same run | ratio | verdict", flush=True)


def write(report: Report, file: Path | None) -> None:
    """Keep a report: a whole run beside the others in the repository, a quick one where git ignores it."""
    name = f"{report.system}.local.json" if report.quick else f"{report.system}.json"
    file = file or Path(__file__).parent / "results" / name
    file.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    print(f"written to {file}")


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()


def quantile(sorted_values: Sequence[float], share: float) -> float:
    """The value that this share of the values doesn't exceed."""
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


# Processes


@dataclass
class Program:
    """A process of the run. `pid` is the one that does the work: of a web server its only worker."""

    process: subprocess.Popen[bytes]
    pid: int = field(init=False)

    def __post_init__(self) -> None:
        self.pid = self.process.pid

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far, of all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It stands still meanwhile; what comes for it waits."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


@asynccontextmanager
async def running(
    command: Sequence[str],
    *,
    cores: set[int],
    log: Path,
    nice: int = 0,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Program]:
    """A Python program on these cores, ended by SIGTERM. What it says is shown when something goes wrong."""

    def place() -> None:
        os.sched_setaffinity(0, cores)
        os.nice(nice)

    clean = {name: value for name, value in os.environ.items() if not name.startswith("TENFOLD_")}
    paths = [str(Path(__file__).parent), *filter(None, [clean.get("PYTHONPATH")])]  # workers find apps/ by the first
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220  # it takes a millisecond
            [sys.executable, *command],
            env=clean | {"PYTHONPATH": os.pathsep.join(paths)} | dict(environment or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=place,
        )
    try:
        yield Program(process)
    except (Exception, SystemExit):
        print(f"--- {' '.join(command)} said:\n{log.read_text()[-3000:]}", file=sys.stderr)
        raise
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def answers(program: Program, port: int, path: str = "/") -> None:
    """Wait until a web server answers, and find its worker."""
    deadline = time.monotonic() + 60
    while True:
        if program.process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the web server on port {port} doesn't start")
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            status = await reader.readline()
            writer.close()
            if status.startswith((b"HTTP/1.1 2", b"HTTP/1.1 3")):
                break
        except OSError:
            pass
        await asyncio.sleep(0.05)
    [program.pid] = [pid for pid in children(program.process.pid) if b"resource_tracker" not in _command(pid)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    return [pid, *(each for child in children(pid) for each in family(child))]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def move(pids: Iterable[int], cores: set[int]) -> None:
    """Put running processes with all their threads on cores."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


def memory(pid: int, kind: str = "Rss") -> float:
    """Bytes of a process: Rss, or Pss, which counts what it shares with others in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(kind)
