"""Ways to answer that `tenfold eval` measures: the plainest ones there are, and ours against them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tenfold.platform.errors import Unavailable
from tenfold.platform.runtime import Runtime
from tenfold.systems.answers.actions import asking
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.experiments import Chosen
from tenfold.systems.answers.rules import bm25, metrics
from tenfold.systems.answers.store.evaluation import NOBODY
from tenfold.systems.answers.types.asking import Answer, Done
from tenfold.systems.answers.types.evaluation import Mode, Pipeline
from tenfold.systems.answers.types.index import Stored

#: Tokens of an answer at most, and characters of a passage that a model is shown.
TOKENS, SHOWN = 200, 2000


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the passages that were found for it."""

    question: str
    passages: Sequence[Stored]
    collection_id: int
    mode: Mode


@dataclass(frozen=True, slots=True)
class Answering:
    """A way to answer."""

    answer: Callable[[Asked], Awaitable[str]]
    #: Whether it looks for passages itself, so that finding them is part of its time.
    looks: bool = False


async def quoted(asked: Asked) -> str:
    """The sentence that has most of the question's words; of equals that of the better passage."""
    terms = set(bm25.terms(asked.question))
    every = [each for passage in asked.passages for each in metrics.sentences(passage.text)]
    return max(every, key=lambda each: len(terms & set(bm25.terms(each))), default="")


def prompted(runtime: Runtime) -> Callable[[Asked], Awaitable[str]]:
    """What the model of the tier `fast` says when it is given the passages, as the case study's prompt has it."""

    async def answer(asked: Asked) -> str:
        context = "\n\n".join(f"Source: {each.title}\n{each.text[:SHOWN]}" for each in asked.passages)
        rule = "Answer the question from the context, briefly. If the context does not say it, answer: I don't know."
        said = f"{rule}\n\nContext:\n{context}\n\nQuestion: {asked.question}\n\nAnswer:"
        body = {"messages": [{"role": "user", "content": said}], "max_tokens": TOKENS, "temperature": 0}
        return (await runtime.inference.complete("fast", body, caller="evaluation")).text.strip()

    return answer


def ours(answers: Answers) -> Callable[[Asked], Awaitable[str]]:
    """What people get who ask: found, judged, said, checked. "I don't know" is an answer too, and not the right one."""

    async def answer(asked: Asked) -> str:
        draft = Answer(
            id=str(answers.runtime.ids.next()),
            conversation_id="0",
            collection_id=str(asked.collection_id),
            question=asked.question,
            created_at=datetime.now(UTC),
        )
        chosen = Chosen(Pipeline(mode=asked.mode))
        async for event in asking.answer(answers, NOBODY, asked.collection_id, draft, chosen=chosen, fresh=True):
            if isinstance(event, Done):
                return event.answer.text
        raise Unavailable(part="The answer")

    return answer


def known(answers: Answers) -> Mapping[str, Answering]:
    """By the name that `--answerers` has for each."""
    return {
        "quoted": Answering(quoted),
        "model": Answering(prompted(answers.runtime)),
        "ask": Answering(ours(answers), looks=True),
    }
