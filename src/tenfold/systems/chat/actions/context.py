"""What chat holds open in a process."""

from dataclasses import dataclass

from tenfold.platform.runtime import Runtime
from tenfold.systems.chat.actions.answering import Answering
from tenfold.systems.chat.actions.ledger import Ledger
from tenfold.systems.chat.engine.reading import Reader
from tenfold.systems.chat.engine.sandbox import Sandbox
from tenfold.systems.chat.settings import ChatSettings


@dataclass(frozen=True, slots=True)
class Chat:
    runtime: Runtime
    settings: ChatSettings
    ledger: Ledger
    answering: Answering
    sandbox: Sandbox
    reader: Reader
    #: Numbers of an embedding.
    dimensions: int = 384
