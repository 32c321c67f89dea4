"""Embeddings in this process: all-MiniLM-L6-v2 on ONNX Runtime, loaded when first asked for."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from threading import Lock
from typing import TYPE_CHECKING

from tenfold.platform.errors import Unavailable
from tenfold.platform.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

#: Tokens of a text that count, as the model was trained, and texts that are looked at together.
MOST_TOKENS, BATCH = 256, 16


class Embedder:
    """Turns texts into vectors of 384 numbers, as many calls at once as there are processors, each in a thread.

    One call never has more than one processor, so that a question is embedded beside documents and not behind them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(_processors(), thread_name_prefix="embed")
        self._loaded: tuple[Tokenizer, InferenceSession] | None = None
        self._loading = Lock()

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Raises Unavailable while the model isn't there."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, texts)

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        import numpy as np

        tokenizer, session = self._load()
        vectors: list[list[float]] = [[]] * len(texts)
        # The shorter ones of a batch cost as much as its longest, so like goes with like.
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        for chosen in batched(order, BATCH):
            encoded = tokenizer.encode_batch([texts[at] for at in chosen])
            ids = np.array([each.ids for each in encoded], np.int64)
            mask = np.array([each.attention_mask for each in encoded], np.int64)
            given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            wanted = {each.name for each in session.get_inputs()}
            states: NDArray[np.float32] = session.run(None, {name: given[name] for name in wanted})[0]
            pooled = states if states.ndim == 2 else _mean(states, mask)
            found = (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).tolist()
            for at, vector in zip(chosen, found, strict=True):
                vectors[at] = vector
        return vectors

    def _load(self) -> "tuple[Tokenizer, InferenceSession]":
        with self._loading:
            return self._load_once()

    def _load_once(self) -> "tuple[Tokenizer, InferenceSession]":
        if self._loaded is None:
            from onnxruntime import InferenceSession, SessionOptions
            from tokenizers import Tokenizer

            from tenfold.platform.models import Models

            models = Models(self._settings.models_directory)
            if not models.present("minilm"):
                raise Unavailable(part="The model of embeddings")
            options = SessionOptions()
            options.intra_op_num_threads = 1
            session = InferenceSession(str(models.path("minilm")), options, providers=["CPUExecutionProvider"])
            tokenizer = Tokenizer.from_file(str(models.path("minilm", "tokenizer.json")))
            tokenizer.enable_truncation(MOST_TOKENS)
            tokenizer.enable_padding()
            self._loaded = tokenizer, session
        return self._loaded


def _mean(states: "NDArray[np.float32]", mask: "NDArray[np.int64]") -> "NDArray[np.float32]":
    """The mean over what isn't padding, as the model was trained."""
    weights = mask[:, :, None].astype(states.dtype)
    pooled: NDArray[np.float32] = (states * weights).sum(1) / weights.sum(1)
    return pooled


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
