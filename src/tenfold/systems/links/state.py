"""What the link shortener holds open in a process: endpoints, consumers and jobs share it."""

from dataclasses import dataclass

from tenfold.platform.live import Live
from tenfold.platform.runtime import Runtime
from tenfold.systems.links.actions.context import Links
from tenfold.systems.links.hot import Allowance, Recorder, Watching
from tenfold.systems.links.rules import ValueLimit


@dataclass(frozen=True, slots=True)
class LinksState:
    runtime: Runtime
    links: Links
    recorder: Recorder
    allowance: Allowance
    values: ValueLimit
    live: Live
    watching: Watching
