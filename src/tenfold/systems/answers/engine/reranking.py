"""The second stage: candidates are scored again, each with the question beside it."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from tenfold.platform.errors import Unavailable
from tenfold.systems.answers.rules import bm25, relevance

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

#: Tokens of a question with a passage, and pairs that are looked at together.
MOST_TOKENS, BATCH = 512, 8


class Candidate(msgspec.Struct, frozen=True):
    """A passage that the first stage has found."""

    text: str
    #: Cosine and BM25 score, 0 where that search hasn't found it.
    cosine: float
    score: float


class Question(msgspec.Struct, frozen=True):
    text: str
    #: What each of its terms is worth in the collection.
    weights: Mapping[str, float]
    language: str = "english"


class Reranker(Protocol):
    """Scores candidates: 0 to 1 each, comparable within one call."""

    name: str

    async def score(self, question: Question, candidates: Sequence[Candidate]) -> list[float]:
        """Raises Unavailable while its model isn't there."""


class Learned:
    """The default, which needs no model: a learned combination of figures (rules/relevance.py). Not a cross-encoder."""

    name = "learned combination"

    async def score(self, question: Question, candidates: Sequence[Candidate]) -> list[float]:
        return await asyncio.to_thread(self._score, question, candidates)

    def _score(self, question: Question, candidates: Sequence[Candidate]) -> list[float]:
        terms = bm25.terms(question.text, question.language)
        best = (
            max((each.cosine for each in candidates), default=0.0),
            max((each.score for each in candidates), default=0.0),
        )
        return [
            relevance.relevance(
                relevance.figures(terms, each.text, question.weights, each.cosine, each.score, best, question.language)
            )
            for each in candidates
        ]


class CrossEncoder:
    """Any cross-encoder as ONNX with one score a pair: a folder with model.onnx and tokenizer.json.

    Scores are logits, as of ms-marco-MiniLM and bge-reranker, and become shares by the logistic function.
    """

    def __init__(self, folder: Path) -> None:
        self.name = f"cross-encoder {folder.name}"
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rerank")
        self._loaded: tuple[Tokenizer, InferenceSession] | None = None

    async def score(self, question: Question, candidates: Sequence[Candidate]) -> list[float]:
        texts = [each.text for each in candidates]
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._score, question.text, texts)

    def _score(self, question: str, texts: Sequence[str]) -> list[float]:
        import numpy as np

        tokenizer, session = self._load()
        inputs = {each.name for each in session.get_inputs()}
        scores: list[float] = []
        for at in range(0, len(texts), BATCH):
            encoded = tokenizer.encode_batch([(question, text) for text in texts[at : at + BATCH]])
            given = {
                "input_ids": np.array([each.ids for each in encoded], np.int64),
                "attention_mask": np.array([each.attention_mask for each in encoded], np.int64),
                "token_type_ids": np.array([each.type_ids for each in encoded], np.int64),
            }
            logits: NDArray[np.float32] = session.run(None, {name: given[name] for name in inputs})[0]
            # One column: the score. Two: irrelevant and relevant.
            margins = logits[:, -1] - (logits[:, 0] if logits.shape[1] == 2 else 0)
            scores += (1 / (1 + np.exp(-margins.astype(np.float64)))).tolist()
        return scores

    def _load(self) -> "tuple[Tokenizer, InferenceSession]":
        if self._loaded is None:
            from onnxruntime import InferenceSession, SessionOptions
            from tokenizers import Tokenizer

            model, words = self._folder / "model.onnx", self._folder / "tokenizer.json"
            if not (model.is_file() and words.is_file()):
                raise Unavailable(part="The reranker")
            options = SessionOptions()
            options.intra_op_num_threads = 1
            session = InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
            tokenizer = Tokenizer.from_file(str(words))
            # What is too long is cut at the passage, never at the question.
            tokenizer.enable_truncation(MOST_TOKENS, strategy="only_second")
            tokenizer.enable_padding()
            self._loaded = tokenizer, session
        return self._loaded


def reranker(setting: str) -> Reranker | None:
    """The reranker that a setting names: "learned", "none", or the folder of an ONNX cross-encoder."""
    if setting in ("", "none"):
        return None
    return Learned() if setting == "learned" else CrossEncoder(Path(setting))
