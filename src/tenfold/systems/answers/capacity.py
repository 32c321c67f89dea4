"""The case study's capacity estimation, as arithmetic on its inputs ("Capacity Estimation" of RAG-based Q&A)."""

from collections.abc import Mapping
from math import ceil

from tenfold.platform.system import Estimate

SECONDS_A_DAY = 86_400


def capacity(
    *,
    documents: float = 1e6,
    pages: float = 10,
    words: float = 500,
    tokens_a_word: float = 1.33,
    chunk_tokens: float = 512,
    overlap: float = 50,
    dimensions: float = 384,
    bytes_a_number: float = 2,
    questions: float = 100e3,
    peak: float = 10,
    changed_share: float = 0.01,
    measured: Mapping[str, float] | None = None,
) -> list[Estimate]:
    """What the inputs ask for and, given figures of a benchmark, the machines that follow.

    The case study counts 5 tokens a word and an embedding of 1,536 numbers of four bytes for each token, and so 150 TB.
    English has about 1.33 tokens a word, and what is embedded is a chunk; so its inputs are kept but for those, and its
    own figure is shown beside. `changed_share` is the part of the documents that changes in a day. `measured` may hold
    chunks_per_second (embedded by one process), searches_per_second and answers_per_second (of one machine).
    """
    all_words = documents * pages * words
    tokens = all_words * tokens_a_word
    chunks = tokens / (chunk_tokens - overlap)
    rate = questions / SECONDS_A_DAY
    rows = [
        Estimate(name="Words", value=all_words / 1e9, unit="billion", formula="documents x pages x words"),
        Estimate(name="Tokens", value=tokens / 1e9, unit="billion", formula="words x tokens_a_word"),
        Estimate(name="Chunks", value=chunks / 1e6, unit="million", formula="tokens / (chunk_tokens - overlap)"),
        Estimate(
            name="Embeddings", value=chunks * dimensions * bytes_a_number / 1e9, unit="GB",
            formula="chunks x dimensions x bytes_a_number",
        ),
        Estimate(
            name="Embeddings as the case study counts", value=all_words * 5 * 1536 * 4 / 1e12, unit="TB",
            formula="words x 5 tokens x 1,536 dimensions x 4 bytes, one for each token",
        ),
        Estimate(name="Questions, mean", value=rate, unit="/s", formula="questions / 86,400"),
        Estimate(name="Questions, peak", value=rate * peak, unit="/s", formula="mean x peak"),
    ]  # fmt: skip
    for key, name, load in (
        ("chunks_per_second", "Days to embed all, one process", chunks / SECONDS_A_DAY),
        ("chunks_per_second", "Processes for what changes", chunks * changed_share / SECONDS_A_DAY),
        ("searches_per_second", "Machines for searches", rate * peak),
        ("answers_per_second", "Machines for answers", rate * peak),
    ):
        if measured and measured.get(key):
            value = load / measured[key]
            formula = f"{load:,.2f} / {measured[key]:,.2f} measured"
            whole = not name.startswith("Days")
            rows.append(Estimate(name=name, value=ceil(value) if whole else value, unit="", formula=formula))
    return rows
