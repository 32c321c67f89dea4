"""Embeddings: what is long is read to its end, and nothing depends on who is read beside it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tenfold.platform.inference.embedding import MOST_WINDOWS, WINDOW, Embedder, windows
from tenfold.platform.settings import Settings
from tenfold.platform.testing import models_of_tests


@pytest.fixture(scope="module")
async def embedder() -> Embedder:
    models = models_of_tests()
    if not models.present("minilm"):
        await models.pull("minilm")
    return Embedder(replace(Settings(), models=models.directory))


@given(st.integers(0, 3 * MOST_WINDOWS * WINDOW))
def test_windows_are_few_and_of_one_size_and_lose_nothing(count: int) -> None:
    parts = windows(range(count))
    assert [token for part in parts for token in part] == list(range(min(count, MOST_WINDOWS * WINDOW)))
    assert 1 <= len(parts) <= MOST_WINDOWS
    assert max(map(len, parts)) <= WINDOW
    assert max(map(len, parts)) - min(map(len, parts)) < len(parts)


async def test_the_end_of_a_long_text_counts(embedder: Embedder) -> None:
    filler = "The committee met again and the minutes were read and approved by all who were there. " * 20
    question, plain, owls = np.array(await embedder.embed(["What do owls eat?", filler, f"{filler} Owls eat mice."]))
    assert question @ owls > question @ plain + 0.01


async def test_vectors_are_of_length_one_and_of_their_text_alone(embedder: Embedder) -> None:
    texts = ["Owls eat mice.", "", "a " * 700, "The lamp on the pier."]
    together = np.array(await embedder.embed(texts))
    alone = np.array([(await embedder.embed([text]))[0] for text in texts])
    assert together.shape == (4, 384)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert (np.sum(together * alone, axis=1) > 0.99).all()  # whole numbers of 8 bits are scaled by batch
