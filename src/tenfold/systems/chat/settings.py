"""What can be set about chat: TENFOLD_CHAT_* or the table [chat]."""

from typing import Annotated

import msgspec

type Positive = Annotated[int, msgspec.Meta(ge=1)]
type Natural = Annotated[int, msgspec.Meta(ge=0)]


class ChatSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    #: Tokens of an answer when nobody says, and at most.
    answer_tokens: int = 1024
    most_answer_tokens: int = 8192
    #: Answers that are written for one account at once.
    answers_at_once: Positive = 4
    #: Seconds that answers have to end when their process is told to.
    stop_patience: Natural = 5
    #: Bytes of all files that an account has attached.
    file_bytes: Positive = 1024**3
    #: Whether what goes through the OpenAI API is moderated too.
    moderate_api: bool = True
    #: Whether models are told [EMAIL 1] instead of an address, and so on.
    redact_pii: bool = True
    #: Seconds that the answer of a deterministic request is kept for who asks the same.
    answer_cache_seconds: int = 3600
    #: Tokens that an account of each tier may use in a day (UTC), read and written; 0: no end.
    free_tokens_a_day: int = 100_000
    plus_tokens_a_day: int = 2_000_000
    enterprise_tokens_a_day: int = 0
    #: What code in the sandbox may take: seconds, bytes of memory and of output, calls inside each other.
    sandbox_seconds: Positive = 5
    sandbox_memory: Positive = 64 * 1024 * 1024
    sandbox_output: Positive = 64 * 1024
    sandbox_depth: Positive = 1000
    #: Characters of code; runs at once in a process, and those that may wait for them.
    sandbox_code: Positive = 32_000
    sandbox_at_once: Positive = 2
    sandbox_waiting: Natural = 16
    #: What reading an attached file may take: seconds, bytes of memory and of the file, characters of what is found.
    reading_seconds: Positive = 30
    reading_memory: Positive = 2 * 1024**3
    reading_bytes: Positive = 10 * 1024 * 1024
    reading_characters: Positive = 200_000
    #: Pages of a document whose text is taken, and of one without text that are read as pictures.
    reading_pages: Positive = 500
    reading_scans: Positive = 5
    #: Files that are read at once in a process, and those that may wait.
    reading_at_once: Positive = 1
    reading_waiting: Natural = 16

    def tokens_a_day(self, tier: str) -> int:
        return int(getattr(self, f"{tier}_tokens_a_day", self.free_tokens_a_day))
