"""What answers holds open in a process."""

from dataclasses import dataclass, field

from tenfold.platform.runtime import Runtime
from tenfold.systems.answers.actions.retrieval import Retrieval
from tenfold.systems.answers.hot import Numbers, Segments
from tenfold.systems.answers.settings import AnswersSettings


@dataclass(frozen=True, slots=True)
class Answers:
    runtime: Runtime
    settings: AnswersSettings
    segments: Segments
    retrieval: Retrieval
    numbers: Numbers = field(default_factory=Numbers)
