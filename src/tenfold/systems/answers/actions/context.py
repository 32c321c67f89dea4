"""What answers holds open in a process."""

import asyncio
from dataclasses import dataclass, field

from tenfold.platform.runtime import Runtime
from tenfold.systems.answers.actions.retrieval import Retrieval
from tenfold.systems.answers.actions.sending import Sending
from tenfold.systems.answers.hot import Numbers, Segments
from tenfold.systems.answers.settings import AnswersSettings


@dataclass(frozen=True, slots=True)
class Answers:
    runtime: Runtime
    settings: AnswersSettings
    segments: Segments
    retrieval: Retrieval
    #: Answers that are being written here.
    behind: "set[asyncio.Task[None]]" = field(default_factory=set)
    sending: Sending = field(init=False)
    numbers: Numbers = field(default_factory=Numbers)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sending", Sending(self.settings))
