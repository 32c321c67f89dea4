"""What a model is told of a conversation: system prompt, files, a summary, the last messages, what fits the question.

The case study keeps the last ten messages and a summary of those before them. Taken literally that moves the window by
a message or two each time, and a model's prefix cache, which knows a prompt from its first token on, is of no use
behind the first message that moved. On a laptop that is seconds before the first word. So what
seldom changes stands in front:

    system prompt       never changes
    files               change when one is attached; their shares depend on the budget, not on the question
    summary             changes when the window moves, and only then
    window              begins where the summary ends: it grows to `KEPT + STEP - 1` messages, then `STEP` of them go
                        into the summary at once; so of `STEP / 2` questions all but one only add to the prompt before
    related, question   change each time, and stand last

The room is what the model's context leaves beside the answer. What doesn't fit is given up in this order: related
turns; the oldest of the window, in steps that begin where the summary ends and so stay the same for some questions;
files, cut in their middle; the summary. System prompt and question are never touched: who asks too
much is told so (TooLong).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

type Count = Callable[[str], int]
type Message = dict[str, object]

#: Messages that the window has at least, by the case study, and those that leave it at once. Even, so that it begins
#: with a question.
KEPT: Final = 10
STEP: Final = 8
#: Tokens that a message takes besides its text: its role, and the marks around it.
EACH: Final = 6
#: Shares of the room that all files, and each related turn, may have.
FILES: Final = 0.5
RELATED: Final = 0.1
#: Related turns: how many, how alike their embedding has to be to the question's (a cosine), and how many of the rarer
#: one's words may be another's.
MOST_RELATED: Final = 4
FLOOR: Final = 0.35
ALIKE: Final = 0.6

_WORDS: Final = re.compile(r"\w{3,}")
_PIECES: Final = re.compile(r" ?[A-Za-z][a-z]*| {2,}|.", re.DOTALL)


class Text(msgspec.Struct, frozen=True):
    """A text and its tokens."""

    text: str
    tokens: int


class Turn(msgspec.Struct, frozen=True):
    """A message of a conversation."""

    id: int
    #: Of the API: user or assistant.
    role: str
    text: str
    tokens: int


class Related(msgspec.Struct, frozen=True):
    """An older message, and how near it is to the question."""

    turn: Turn
    score: float


class Attached(msgspec.Struct, frozen=True):
    """A file's text."""

    name: str
    text: str
    tokens: int


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to tell.

    `window` are the messages of the path before the question, oldest first, without the first `before` of them (an even
    number); the summary tells of the first `summarised` ones of the path.
    """

    system: Text
    question: Text
    summary: Text | None = None
    summarised: int = 0
    window: Sequence[Turn] = ()
    before: int = 0
    related: Sequence[Related] = ()
    files: Sequence[Attached] = ()


class Budget(msgspec.Struct, frozen=True):
    """Tokens of a model's context, and those of it that are kept for the answer."""

    context: int
    answer: int

    @property
    def room(self) -> int:
        return self.context - self.answer


class TooLong(Exception):
    """The question, with the system prompt, has `tokens` where only `most` fit."""

    def __init__(self, tokens: int, most: int) -> None:
        super().__init__(tokens, most)
        self.tokens = tokens
        self.most = most


def estimate(text: str) -> int:
    """Tokens of a text at most, or nearly so, where no tokenizer is at hand: words by four letters, the rest by one.

    Of Qwen2.5's own count it is 1.0 (numbers, Hindi) to 2.4 (Russian), and about 1.6 for English and code.
    """
    return sum(2 if piece > "\uffff" else -(-len(piece) // 4) for piece in _PIECES.findall(text))


def assemble(material: Material, budget: Budget, count: Count = estimate) -> list[Message]:
    """The messages, as the OpenAI API has them: at most `budget.room` tokens by `count` and the numbers given.

    `count` is asked for what is cut or put around a text; it may lean high. Raises TooLong.
    """
    left = budget.room - _cost(material.system) - _cost(material.question)
    if left < 0:
        raise TooLong(budget.room - left, budget.room)
    summary = _summary(material, left, count)
    for_summary = _cost(summary) if summary else 0
    files = _files(material.files, min(left - for_summary, int(budget.room * FILES)), count)
    left -= for_summary + sum(map(_cost, files))
    start = _start(material, left)
    window = material.window[start:]
    left -= sum(map(_cost, window))
    shown = frozenset(turn.id for turn in window)
    related = _related(material.related, shown, min(left, int(budget.room * RELATED * MOST_RELATED)), count)
    return [
        _message("system", material.system.text),
        *(_message("user", file.text) for file in files),
        *([_message("system", summary.text)] if summary else []),
        *(_message(turn.role, turn.text) for turn in window),
        *([_message("system", related.text)] if related else []),
        _message("user", material.question.text),
    ]


def wants_summary(path: Sequence[Turn], summarised: int, room: int | None = None) -> slice:
    """The messages of a path (without an open question) that the summary should take in next; an empty slice: none yet.

    They are all that will leave the window when it moves: when it has grown by a step, or earlier when what it holds
    costs more than `room` tokens. At most four steps at once, for the model that has to read them.
    """
    end = min(summarised, len(path))
    begin, costs = end, sum(map(_cost, path[end:]))
    while (length := len(path) - end) >= KEPT + STEP or (room is not None and costs > room and length > 2):
        step = _step(length)
        costs -= sum(map(_cost, path[end : end + step]))
        end += step
    return slice(begin, min(end, begin + 4 * STEP))


def _step(length: int) -> int:
    """How many messages leave a window of so many: fewer where tokens are short, questions with their answers."""
    return STEP if length >= KEPT + STEP else STEP // 2 if length > STEP // 2 else min(2, length)


def cut(text: str, most: int, count: Count = estimate) -> str:
    """The beginning and the end of a text, of at most so many tokens, with a mark between them; "" if not even that."""
    if count(text) <= most:
        return text
    low, high = 0, len(text)
    while low < high:  # characters kept
        middle = (low + high + 1) // 2
        if count(_cut(text, middle)) <= most:
            low = middle
        else:
            high = middle - 1
    # A tokenizer's counts don't always grow with the text.
    while low and count(_cut(text, low)) > most:
        low = low * 9 // 10
    return _cut(text, low) if low else ""


def _cut(text: str, kept: int) -> str:
    """Two thirds of what is kept are the beginning, where most texts say what they are."""
    head = -(-kept * 2 // 3)
    tail = kept - head
    return (
        f"{text[:head]}\n[... {len(text) - kept} characters left out ...]\n{text[len(text) - tail :] if tail else ''}"
    )


def _cost(text: Text | Turn) -> int:
    return text.tokens + EACH


def _message(role: str, text: str) -> Message:
    return {"role": role, "content": text}


def _around(head: str, text: str, tokens: int, count: Count, tail: str = "") -> Text:
    """Text between others, counted part by part. A tokenizer may join where they meet, which `EACH` leaves room for."""
    return Text(f"{head}{text}{tail}", count(head) + tokens + (count(tail) if tail else 0))


def _summary(material: Material, most: int, count: Count) -> Text | None:
    """The summary as the case study introduces it, cut if there is no other way."""
    if material.summary is None or not material.summary.text:
        return None
    head = "Previous context: "
    whole = _around(head, material.summary.text, material.summary.tokens, count)
    if _cost(whole) <= most:
        return whole
    text = cut(material.summary.text, most - EACH - count(head), count)
    return _around(head, text, count(text), count) if text else None


def _files(files: Sequence[Attached], most: int, count: Count) -> list[Text]:
    """Files, each as a message of its own. Those that ask for less than an equal share leave the rest to the others."""
    wrapped = [(f'The file "{file.name[:200]}":\n<file>\n', file, "\n</file>") for file in files]
    fixed = [count(head) + count(tail) + EACH for head, _, tail in wrapped]
    shares = _shares([file.tokens for file in files], most - sum(fixed))
    found: list[Text] = []
    for (head, file, tail), share in zip(wrapped, shares, strict=True):
        if file.tokens <= share:
            whole = _around(head, file.text, file.tokens, count, tail)
        else:
            text = cut(file.text, share, count)
            whole = _around(head, text, count(text), count, tail)
        if _cost(whole) <= most and (file.tokens <= share or text):
            found.append(whole)
            most -= _cost(whole)
    return found


def _shares(wanted: Sequence[int], most: int) -> list[int]:
    """What each gets of `most`: what it wants, or as much as all others that don't get what they want."""
    shares = [0] * len(wanted)
    left = max(0, most)
    for done, index in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        shares[index] = min(wanted[index], left // (len(wanted) - done))
        left -= shares[index]
    return shares


def _start(material: Material, most: int) -> int:
    """Where the window begins, in `material.window`: where the summary ends, or some steps later for want of room."""
    turns = material.window
    first = min(max(0, material.summarised - material.before), len(turns))
    # Without a summary that keeps up, so many messages at most.
    while len(turns) - first >= KEPT + 2 * STEP:
        first += STEP
    costs = sum(map(_cost, turns[first:]))
    while costs > most and first < len(turns):
        step = _step(len(turns) - first)
        # Of the last two, an answer may fit without what was asked.
        step = 1 if step == len(turns) - first else step
        costs -= sum(map(_cost, turns[first : first + step]))
        first += step
    return first


def _related(candidates: Iterable[Related], shown: frozenset[int], most: int, count: Count) -> Text | None:
    """Older turns that are near to the question, none of them in the window or much like another, as one message."""
    head = "Earlier in this conversation, which may matter here:"
    left = most - EACH - count(head)
    chosen: list[tuple[Turn, str]] = []
    words: list[frozenset[str]] = []
    for each in sorted(candidates, key=lambda each: (-each.score, each.turn.id)):
        if each.score < FLOOR or len(chosen) == MOST_RELATED:
            break
        turn, own = each.turn, frozenset(_WORDS.findall(each.turn.text.lower()))
        if turn.id in shown or any(turn.id == other.id for other, _ in chosen):
            continue
        if any(len(own & other) > ALIKE * min(len(own), len(other)) for other in words):
            continue
        label = f"\n\n{turn.role}: "
        text = cut(turn.text, min(left - count(label), most // MOST_RELATED), count)
        if not text:
            continue
        left -= count(label) + count(text)
        chosen.append((turn, f"{label}{text}"))
        words.append(own)
    if not chosen:
        return None
    told = "".join(text for _, text in sorted(chosen, key=lambda each: each[0].id))
    return Text(head + told, most - EACH - left)
