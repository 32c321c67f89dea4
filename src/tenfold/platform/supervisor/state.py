"""What `tenfold up` leaves in the data directory for other processes: a lock, secrets, and what runs where."""

import asyncio
import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from tenfold.platform.engines.engine import write_private
from tenfold.platform.errors import TenfoldError
from tenfold.platform.settings import TIERS, Endpoint, Secret, Settings


class AlreadyRunning(TenfoldError):
    """Tenfold already runs on {data}, as process {pid}. Stop it (tenfold down), or use another place (TENFOLD_DATA)."""


class NotRunning(TenfoldError):
    """Tenfold doesn't run on {data}."""


class DataUnusable(TenfoldError):
    """{data} can't be used: {reason}."""


class Secrets(msgspec.Struct, frozen=True):
    """Made once for a data directory, and worth as much as all that is in it."""

    master: str
    engines: str


class PartState(msgspec.Struct, frozen=True):
    name: str
    pid: int
    version: str
    where: str


class State(msgspec.Struct, frozen=True):
    """What runs on a data directory, for other processes to find."""

    pid: int
    started_at: float
    address: str
    #: Settings that the embedded engines give, by name.
    urls: dict[str, str]
    parts: list[PartState]
    #: All endpoints of the tiers that have embedded ones, also while these are being loaded.
    endpoints: dict[str, tuple[Endpoint, ...]] = {}


def running(settings: Settings) -> Settings:
    """The settings, completed by what `tenfold up` has started and made on the same data.

    These are URLs, the endpoints of tiers, and the master secret.
    """
    state, found = read_state(settings), _read(settings.data / "secrets", Secrets)
    values = {name: Secret(url) for name, url in (state.urls if state else {}).items() if not getattr(settings, name)}
    if found and settings.secret is None:
        values["secret"] = Secret(found.master)
    known, embedded = {**TIERS, **settings.tiers}, state.endpoints if state else {}
    tiers = {
        name: msgspec.structs.replace(known[name], endpoints=endpoints)
        for name, endpoints in embedded.items()
        if name in known
    }
    return msgspec.structs.replace(settings, tiers=settings.tiers | tiers, **values)


def status(settings: Settings) -> State:
    """What `up` runs on the same data. Raises NotRunning."""
    state = read_state(settings)
    if state is None or not alive(str(state.pid)) or not held(settings.data):
        raise NotRunning(data=settings.data.absolute())
    return state


def read_state(settings: Settings) -> State | None:
    return _read(settings.data / "runtime.json", State)


def write_state(settings: Settings, state: State) -> None:
    # Of all that a state is made of, secrets alone have to be told how they are written.
    text = msgspec.json.encode(state, enc_hook=lambda secret: secret.reveal())
    write_private(settings.data / "runtime.json", text.decode())


def read_secrets(settings: Settings) -> Secrets:
    """The secrets of the data directory, made where it is new. Raises DataUnusable."""
    file = settings.data / "secrets"
    known = _read(file, Secrets)
    if known is None:
        if (settings.data / "postgres").exists():
            reason = "its file named secrets is missing, without which nobody can sign in. Bring it back, or start anew"
            raise DataUnusable(data=settings.data, reason=reason)
        known = Secrets(master=secrets.token_urlsafe(48), engines=secrets.token_urlsafe(24))
        write_private(file, msgspec.json.encode(known).decode())
    return known


async def take_lock(data: Path, stopping: Callable[[], bool], say: Callable[[str], None]) -> int:
    """An open, locked file. Waits while the guard of a killed supervisor is still cleaning up.

    Raises AlreadyRunning, DataUnusable.
    """
    lock = _open_lock(data)
    waited = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode().strip()
            if alive(holder) or stopping():
                os.close(lock)
                raise AlreadyRunning(data=data, pid=holder) from None
        if not waited:
            say("Waiting until what a killed process has left behind is cleaned up.")
            waited = True
        await asyncio.sleep(0.05)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _open_lock(data: Path) -> int:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(data / "tenfold.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataUnusable(data=data, reason=error.strerror) from error


def held(data: Path) -> bool:
    """Whether a supervisor, or the guard of one, holds the lock."""
    try:
        with (data / "tenfold.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def _read[T](file: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind, dec_hook=lambda kind, value: kind(value))
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise DataUnusable(data=file, reason=error) from error
