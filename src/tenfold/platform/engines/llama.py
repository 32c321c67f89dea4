"""The embedded llama.cpp: one language model behind the OpenAI API, on a loopback port with a key."""

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from tenfold.platform.engines import llama_server
from tenfold.platform.engines.engine import Engine, EngineFailed, write_private
from tenfold.platform.settings import Endpoint, Secret


class Llama(Engine):
    """A model's process. The password is the key of its API; what it keeps, its cache, dies with it."""

    def __init__(
        self,
        directory: Path,
        password: str,
        *,
        model: Path,
        name: str = "llama",
        serves: str = "",
        port: int | None = None,
        slots: int = 4,
        context: int = 8192,
        draft: Path | None = None,
        threads: int = 0,
    ) -> None:
        """It works on `slots` requests at once, of `context` tokens each. No `threads`: as many as there are cores.

        `model` and `draft`, a smaller model that guesses ahead, are GGUF files; they must be there at the start only.
        `serves` is what clients shall call the model; empty: as its file.
        """
        super().__init__(directory, password, port=port)
        self.name = name
        self.model = model
        self.draft = draft
        self._serves = serves or model.stem
        self._slots = slots
        self._context = context
        self._threads = threads or cores()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port} {self._serves}"

    @property
    def endpoint(self) -> Endpoint:
        """The same for a tier. Known after the first start, or when a port is reserved."""
        return Endpoint(
            url=f"{self.url}/v1",
            model=self._serves,
            key=Secret(self._password),
            slots=self._slots,
            holds_to_tools=False,
        )

    @property
    def binary(self) -> Path:
        """The interpreter. Raises EngineFailed when the wheel of llama.cpp isn't installed beside it."""
        if importlib.util.find_spec("xllamacpp") is None:
            raise EngineFailed(engine=self.name, what="is not installed: pip install 'tenfold[models]'", words="")
        return Path(sys.executable)

    @cached_property
    def version(self) -> str:
        # The wheel's versions end with the build of llama.cpp that is in it, by which that is known.
        return f"b{version('xllamacpp').rpartition('.')[2]}"

    async def start(self, timeout: float = 600) -> None:
        # A big model comes from a slow disk once.
        await super().start(timeout)

    def _command(self) -> Sequence[str | Path]:
        for file in filter(None, (self.model, self.draft)):
            if not file.is_file():
                raise EngineFailed(engine=self.name, what=f"has no model: {file} is missing", words="")
        config = self.directory / "llama.json"
        settings = {
            "model": str(self.model.absolute()),
            "draft": str(self.draft.absolute()) if self.draft else None,
            "name": self._serves,
            "port": self.port,
            "key": self._password,
            "slots": self._slots,
            "context": self._context,
            "threads": self._threads,
            "parent": os.getpid(),
        }
        write_private(config, json.dumps(settings, indent=2))
        # Without the directory of the program on the path: what lies there is called like what it would import.
        return [self.binary, "-P", llama_server.__file__, config]

    async def _ready(self) -> bool:
        # Answered from the first moment on, with 503 while the model is being loaded.
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return b" 200 " in await reader.readline()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def cores() -> int:
    """Of this machine, those that we may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
