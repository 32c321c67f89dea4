"""What messages holds open in a process."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tenfold.platform.runtime import Runtime
from tenfold.systems.messages.actions.acknowledging import Acknowledging
from tenfold.systems.messages.actions.sending import Sending
from tenfold.systems.messages.hot import Routes, Watching
from tenfold.systems.messages.settings import MessagesSettings

if TYPE_CHECKING:
    from tenfold.systems.messages.actions.connecting import Connections


@dataclass(slots=True)
class Messages:
    runtime: Runtime
    settings: MessagesSettings
    routes: Routes
    watching: Watching
    sending: Sending
    acknowledging: Acknowledging
    #: Set where it is opened: connections need the rest.
    connections: "Connections" = field(init=False)
