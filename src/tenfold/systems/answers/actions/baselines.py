"""The plainest ways to make an answer of passages: `tenfold eval` measures them, and better ones against them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from tenfold.platform.runtime import Runtime
from tenfold.systems.answers.rules import bm25, metrics
from tenfold.systems.answers.types.index import Stored

#: Tokens of an answer at most, and characters of a passage that a model is shown.
TOKENS, SHOWN = 200, 2000

type Answering = Callable[[str, Sequence[Stored]], Awaitable[str]]


async def quoted(question: str, passages: Sequence[Stored]) -> str:
    """The sentence that has most of the question's words; of equals that of the better passage."""
    asked = set(bm25.terms(question))
    every = [each for passage in passages for each in metrics.sentences(passage.text)]
    return max(every, key=lambda each: len(asked & set(bm25.terms(each))), default="")


def prompted(runtime: Runtime) -> Answering:
    """What the model of the tier `fast` says when it is given the passages, as the case study's prompt has it."""

    async def answer(question: str, passages: Sequence[Stored]) -> str:
        context = "\n\n".join(f"Source: {each.title}\n{each.text[:SHOWN]}" for each in passages)
        rule = "Answer the question from the context, briefly. If the context does not say it, answer: I don't know."
        said = f"{rule}\n\nContext:\n{context}\n\nQuestion: {question}\n\nAnswer:"
        body = {"messages": [{"role": "user", "content": said}], "max_tokens": TOKENS, "temperature": 0}
        return (await runtime.inference.complete("fast", body, caller="evaluation")).text.strip()

    return answer


def known(runtime: Runtime) -> Mapping[str, Answering]:
    """By the name that `--answerers` has for each."""
    return {"quoted": quoted, "model": prompted(runtime)}
