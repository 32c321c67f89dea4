"""The files of models that run here: fetched behind all else, one after the other, and how far that has come."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from tenfold.platform.engines.engine import write_private
from tenfold.platform.errors import TenfoldError
from tenfold.platform.models import Models
from tenfold.platform.settings import Settings

#: Seconds until models that couldn't be fetched are tried again: doubled each time.
BACK_OFF, BACK_OFF_MOST = 5.0, 300.0
#: Seconds between two notes of how far a model has come, and between two looks for one that somebody else may bring.
NOTE, LOOK = 0.5, 2.0


class Progress(msgspec.Struct):
    """How much of a model is here, in bytes."""

    state: Literal["pulling", "present", "failed"]
    done: int = 0
    size: int = 0
    #: Why it isn't here. Where models are fetched at all, it is tried again all the same.
    reason: str = ""


def read_progress(settings: Settings) -> dict[str, Progress]:
    """Of each model that `tenfold up` wants here, by its name. Empty where it wants none."""
    try:
        return msgspec.json.decode((settings.data / "models" / "progress.json").read_bytes(), type=dict[str, Progress])
    except (OSError, msgspec.DecodeError):
        return {}


class Files:
    """The files that models need, by their names in the manifest."""

    def __init__(self, models: Models, names: Sequence[str], settings: Settings, say: Callable[[str], None]) -> None:
        self.models = models
        self._names = names
        self._pulls = settings.pull_models
        self._say = say
        self._place = settings.data / "models" / "progress.json"
        self._progress: dict[str, Progress] = {}
        self._noted = 0.0
        self._complained: set[str] = set()

    def present(self, *names: str) -> bool:
        return all(self.models.present(name) for name in names)

    async def fetch(self) -> None:
        """Fetch what is missing until nothing is. Where models aren't to be fetched, wait until somebody else has."""
        self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        wait = BACK_OFF
        while missing := self._missing():
            for name in missing:
                await self._pull(name) if self._pulls else self._lack(name)
            if self._missing():
                await asyncio.sleep(wait if self._pulls else LOOK)
                wait = min(2 * wait, BACK_OFF_MOST)

    def _missing(self) -> list[str]:
        for name in self._names:
            if self.models.present(name):
                size = self.models.find(name).size
                self._progress[name] = Progress("present", size, size)
        self._note(at_once=True)
        return [name for name in self._names if not self.models.present(name)]

    async def _pull(self, name: str) -> None:
        if name not in self._complained:
            self._say(f"Fetching the model {name}, behind all else.")
        began = time.monotonic()

        def come(done: int, size: int) -> None:
            self._progress[name] = Progress("pulling", done, size)
            self._note()

        come(0, self.models.find(name).size)
        try:
            await self.models.pull(name, come)
        except (TenfoldError, OSError) as error:
            self._lack(name, str(error))
        else:
            self._say(f"The model {name} is here after {time.monotonic() - began:.0f} s.")

    def _lack(self, name: str, reason: str = "") -> None:
        """It isn't here: say so once."""
        known = self._progress.get(name, Progress("failed", size=self.models.find(name).size))
        again = "It is tried again from time to time." if self._pulls else f"`tenfold models pull {name}` fetches it."
        self._progress[name] = Progress("failed", known.done, known.size, reason or again)
        self._note(at_once=True)
        if name not in self._complained:
            self._complained.add(name)
            self._say(f"{reason or f'The model {name} is missing.'} {again}")

    def _note(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now - self._noted >= NOTE:
            self._noted = now
            write_private(self._place, msgspec.json.encode(self._progress).decode())
