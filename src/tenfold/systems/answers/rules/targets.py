"""What the case study wants of answers, section 6, and what it says that searches are worth, section 5."""

from typing import Final

from tenfold.systems.answers.types.evaluation import Target

#: By name of what is measured online.
ONLINE: Final = (
    Target(name="click_through", wanted=0.3),
    Target(name="acceptance", wanted=0.7),
    Target(name="mrr", wanted=0.8),
    Target(name="session_success", wanted=0.85),
    Target(name="latency_mean", wanted=2000, below=True, unit="ms"),
    Target(name="latency_p95", wanted=3000, below=True, unit="ms"),
    Target(name="error_rate", wanted=0.01, below=True),
    Target(name="no_answer_rate", wanted=0.1, below=True),
)
#: Over 90 % of answers are to be relevant.
OFFLINE: Final = (Target(name="answer hit", wanted=0.9),)
#: nDCG@10 and milliseconds of the case study's comparison; it doesn't say of which questions.
CLAIMS: Final = {
    "dense": (0.65, 50.0),
    "bm25": (0.60, 30.0),
    "hybrid": (0.75, 80.0),
    "reranked": (0.85, 200.0),
}
