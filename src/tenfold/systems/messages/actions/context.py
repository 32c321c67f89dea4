"""What messages holds open in a process."""

from typing import TYPE_CHECKING

from tenfold.platform.runtime import Runtime
from tenfold.systems.messages.actions.acknowledging import Acknowledging
from tenfold.systems.messages.actions.sending import Sending
from tenfold.systems.messages.hot import Routes, Watching
from tenfold.systems.messages.settings import MessagesSettings

if TYPE_CHECKING:
    from tenfold.systems.messages.actions.connections import Connections


class Messages:
    """The parts of the system in one process. `connections` is set where it is opened, since those need the rest."""

    connections: "Connections"

    def __init__(
        self,
        runtime: Runtime,
        settings: MessagesSettings,
        routes: Routes,
        watching: Watching,
        sending: Sending,
        acknowledging: Acknowledging,
    ) -> None:
        self.runtime = runtime
        self.settings = settings
        self.routes = routes
        self.watching = watching
        self.sending = sending
        self.acknowledging = acknowledging
