"""What messages holds open in a process."""

from dataclasses import dataclass

from tenfold.platform.runtime import Runtime
from tenfold.systems.messages.hot import Routes, Watching
from tenfold.systems.messages.settings import MessagesSettings


@dataclass(frozen=True, slots=True)
class Messages:
    runtime: Runtime
    settings: MessagesSettings
    routes: Routes
    watching: Watching
