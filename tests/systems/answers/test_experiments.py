"""Who takes which variant, what outcomes come to, and what may be concluded."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Stack

from tenfold.platform import telemetry
from tenfold.systems.answers.actions import experiments, figures
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.rules import experiments as rules
from tenfold.systems.answers.rules import significance
from tenfold.systems.answers.store import chunks as chunks_store
from tenfold.systems.answers.types.experiments import Experiment, Outcome, Ratio, Variant

VARIANTS = [Variant(name="control"), Variant(name="treatment", weight=3)]
EXPERIMENT = Experiment(
    id="7", collection_id="1", name="hybrid", unit="conversation", metric="acceptance", variants=VARIANTS,
    needed=1000, begun_at=datetime.now(UTC),
)  # fmt: skip


@given(st.integers(1, 1 << 62), st.text(max_size=30))
def test_who_has_a_variant_keeps_it(experiment_id: int, unit: str) -> None:
    found = {rules.assigned(experiment_id, unit, VARIANTS).name for _ in range(3)}
    assert len(found) == 1
    assert found <= {"control", "treatment"}


def test_variants_are_given_by_weight_and_drawn_anew_by_each_experiment() -> None:
    first = [rules.assigned(1, str(number), VARIANTS).name for number in range(20_000)]
    second = [rules.assigned(2, str(number), VARIANTS).name for number in range(20_000)]
    assert Counter(first)["treatment"] == pytest.approx(15_000, abs=300)
    both = sum(a == b == "control" for a, b in zip(first, second, strict=True))
    assert both == pytest.approx(20_000 / 16, abs=150), "one experiment's groups are not the other's"
    assert not rules.mismatched([1, 3], [Counter(first)["control"], Counter(first)["treatment"]])
    assert rules.mismatched([1, 1], [Counter(first)["control"], Counter(first)["treatment"]])


def ratio(*units: tuple[int, int]) -> Ratio:
    """Of units with so many successes in so many trials."""
    return Ratio(
        units=len(units),
        successes=sum(good for good, _ in units),
        trials=sum(count for _, count in units),
        squared_successes=sum(good * good for good, _ in units),
        squared_trials=sum(count * count for _, count in units),
        products=sum(good * count for good, count in units),
    )


def test_one_question_a_unit_is_the_test_of_two_proportions() -> None:
    found = rules.compared(ratio(*[(1, 1)] * 300, *[(0, 1)] * 700), ratio(*[(1, 1)] * 350, *[(0, 1)] * 650))
    plain = significance.proportions((300, 350), (1000, 1000))
    assert (found.difference, found.low, found.high) == pytest.approx(
        (plain.difference, plain.low, plain.high), abs=1e-3
    )
    assert found.p_value == pytest.approx(plain.p_value, abs=1e-3)


def test_questions_of_one_person_are_not_independent() -> None:
    """Among the same people twice, each of whom accepts all or nothing, a naive test sees differences too often."""
    draw = random.Random(5)
    naive = ours = 0
    for _ in range(300):
        arms = [[(20 * draw.getrandbits(1), 20) for _ in range(60)] for _ in range(2)]
        first, second = (ratio(*arm) for arm in arms)
        ours += rules.compared(first, second).p_value < 0.05
        counts, trials = (first.successes, second.successes), (first.trials, second.trials)
        naive += significance.proportions(counts, trials).p_value < 0.05
    assert naive / 300 > 0.4
    assert ours / 300 < 0.1


def test_nothing_is_concluded_too_early() -> None:
    good, bad = (1, 1), (0, 1)
    early = {"control": ratio(*[good] * 60, *[bad] * 40), "treatment": ratio(*[good] * 230, *[bad] * 70)}
    found = rules.analyse(EXPERIMENT, early, {})
    assert found.arms[1].difference is not None
    assert 0.0001 < found.arms[1].difference.p_value < 0.05
    assert (found.winner, found.progress) == (None, 0.1)
    assert any("proves nothing yet" in each for each in found.warnings)
    whole = {name: ratio(*[good] * (10 * each.successes), *[bad] * (10 * (each.trials - each.successes)))
             for name, each in early.items()}  # fmt: skip
    found = rules.analyse(EXPERIMENT, whole, {})
    assert (found.winner, found.progress, found.warnings) == ("treatment", 1, [])
    swapped = {"control": whole["treatment"], "treatment": whole["control"]}
    found = rules.analyse(EXPERIMENT, swapped, {})
    assert found.winner == "control"
    assert any("shares" in each for each in found.warnings)


# --- in the product -------------------------------------------------------------------------------------------------

COLLECTION = 77


@pytest.fixture
async def alice(stack: Stack) -> httpx.AsyncClient:
    alice = await stack.account("alice", host="answers.localhost:8080")
    async with stack.db.transaction() as tx:
        owner = await stack.value("SELECT id FROM platform.account WHERE name = 'alice'")
        await chunks_store.insert_collection(tx, COLLECTION, owner, "notes")
    return alice


async def note(stack: Stack, *outcomes: Outcome) -> None:
    answers: Answers = stack.state("answers")
    async with stack.db.transaction() as tx:
        for each in outcomes:
            await figures.note_outcome(tx, answers.numbers, COLLECTION, each, {"retrieval": 20.0})


async def test_figures_stand_beside_what_is_wanted(stack: Stack, alice: httpx.AsyncClient) -> None:
    empty = (await alice.get(f"/api/collections/{COLLECTION}/figures")).json()
    assert empty["questions"] == 0
    assert all(each["value"] is None and each["met"] is None for each in empty["items"])
    answers: Answers = stack.state("answers")
    outcomes = [
        Outcome(id=1, account_id=5, conversation_id=1, state="answered", took=100, shown=5, faithfulness=1.0),
        Outcome(id=2, account_id=5, conversation_id=1, state="answered", took=200, shown=5, cached=True, variant="7:a"),
        Outcome(id=3, account_id=6, conversation_id=2, state="unknown", took=300, shown=5, variant="7:a"),
        Outcome(id=4, account_id=6, conversation_id=2, state="failed", took=4000),
    ]
    await note(stack, *outcomes)
    await note(stack, *outcomes)  # what is noted twice counts once
    async with stack.db.transaction() as tx:
        assert await figures.note_click(tx, COLLECTION, 1, 4)
        assert await figures.note_click(tx, COLLECTION, 1, 2)
        assert await figures.note_click(tx, COLLECTION, 1, 3)
        assert not await figures.note_click(tx, COLLECTION, 1, 6), "only five were shown"
        assert await figures.note_feedback(tx, answers.numbers, COLLECTION, 1, good=True)
        assert await figures.note_feedback(tx, answers.numbers, COLLECTION, 3, good=False)
        assert await figures.note_accepted(tx, answers.numbers, COLLECTION, 2)
        assert not await figures.note_accepted(tx, answers.numbers, COLLECTION, 99)
    found = (await alice.get(f"/api/collections/{COLLECTION}/figures?days=7")).json()
    values = {each["name"]: each["value"] for each in found["items"]}
    assert (found["questions"], found["users"]) == (4, 2)
    assert values == pytest.approx(
        {
            "click_through": 1 / 3, "mrr": 1 / 2, "acceptance": 2 / 3, "feedback_rate": 2 / 3, "thumbs_up_rate": 1 / 2,
            "session_success": 1 / 2, "latency_mean": 1150, "latency_p50": 250, "latency_p95": 3445,
            "latency_p99": 3889, "error_rate": 1 / 4, "timeout_rate": 0, "no_answer_rate": 1 / 4,
            "cache_hit_rate": 1 / 4, "faithfulness": 1, "questions_per_user": 2,
        }
    )  # fmt: skip
    met = {each["name"]: each["met"] for each in found["items"] if each["wanted"] is not None}
    assert met == {
        "click_through": True, "acceptance": False, "mrr": False, "session_success": False, "latency_mean": True,
        "latency_p95": False, "error_rate": False, "no_answer_rate": False,
    }  # fmt: skip
    assert [each["questions"] for each in found["by_day"]] == [4]
    assert {each["name"]: each["questions"] for each in found["by_variant"]} == {"": 2, "7:a": 2}
    figures.note_error("unavailable")
    page = telemetry.render_metrics()[0].decode()
    assert "tenfold_answers_queries_total" in page
    assert 'tenfold_answers_errors_total{error_type="unavailable"}' in page
    assert 'tenfold_answers_seconds_count{stage="retrieval"}' in page


async def test_an_experiment_is_its_owners(stack: Stack, alice: httpx.AsyncClient) -> None:
    wish = {
        "collection_id": str(COLLECTION),
        "name": "hybrid",
        "variants": [{"name": "control", "pipeline": {"mode": "dense"}}, {"name": "treatment"}],
    }
    begun = await asyncio.gather(*[alice.post("/api/experiments", json=wish) for _ in range(2)])
    assert sorted(each.status_code for each in begun) == [201, 409]
    [experiment] = (await alice.get(f"/api/experiments?collection_id={COLLECTION}")).json()["items"]
    assert experiment["needed"] == significance.needed(0.7, 0.05)
    chosen = [await experiments.choose(stack.process.runtime, COLLECTION, 5, number) for number in range(20)]
    assert {each.pipeline.mode for each in chosen} == {"dense", "reranked"}
    plain = {"account_id": 5, "state": "answered"}
    outcomes = [
        Outcome(id=number, conversation_id=number, variant=each.label, took=100 + number, **plain)  # type: ignore[arg-type]
        for number, each in enumerate(chosen)
    ]
    await note(stack, *outcomes)
    place = f"/api/experiments/{experiment['id']}"
    analysis = (await alice.get(f"{place}?collection_id={COLLECTION}")).json()
    assert sum(each["units"] for each in analysis["arms"]) == 20
    assert analysis["winner"] is None
    assert all(100 <= each["latency_mean"] < 120 for each in analysis["arms"])
    assert (await alice.post(f"{place}/end?collection_id={COLLECTION}")).json()["ended_at"]
    assert (await experiments.choose(stack.process.runtime, COLLECTION, 5, 1)).label == ""
    assert (await alice.post("/api/experiments", json=wish)).status_code == 201
    twins = await alice.post("/api/experiments", json=wish | {"variants": [{"name": "a"}, {"name": "a"}]})
    assert (twins.status_code, list(twins.json()["fields"])) == (422, ["variants"])
    bob = await stack.account("bob", host="answers.localhost:8080")
    stranger = await stack.client(host="answers.localhost:8080")
    for client, status in ((bob, 404), (stranger, 401)):
        answers = [
            await client.post("/api/experiments", json=wish),
            await client.get(f"/api/experiments?collection_id={COLLECTION}"),
            await client.get(f"{place}?collection_id={COLLECTION}"),
            await client.post(f"{place}/end?collection_id={COLLECTION}"),
            await client.get(f"/api/collections/{COLLECTION}/figures"),
        ]
        assert [each.status_code for each in answers] == [status] * 5
    assert (await alice.get(f"/api/experiments/1?collection_id={COLLECTION}")).status_code == 404
    assert (await alice.get(f"/api/experiments/x?collection_id={COLLECTION}")).status_code == 404
    assert (await alice.get("/api/evaluations")).json()["items"] == []
    assert (await stranger.get("/api/evaluations")).status_code == 401
