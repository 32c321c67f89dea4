"""Labelled collections are read, asked, and reported; what was measured is kept."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.systems.answers.collection import opened

from tenfold.platform.errors import Invalid
from tenfold.platform.runtime import Runtime
from tenfold.platform.testing import Engines
from tenfold.systems.answers.actions import evaluation
from tenfold.systems.answers.actions.baselines import Answering, Asked
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.retrieval import Retrieval
from tenfold.systems.answers.engine import labelled
from tenfold.systems.answers.engine.reranking import Learned
from tenfold.systems.answers.errors import NoSuchVariant
from tenfold.systems.answers.hot import Segments
from tenfold.systems.answers.settings import AnswersSettings

TEXTS = {
    "owls": "Owls hunt mice at night and swallow them whole.",
    "lamps": "The lamp on the pier is lit by a keeper every evening.",
    "taxes": "Value added tax is due on the tenth of each month.",
    "bees": "Bees dance to tell each other where flowers are.",
}
QUESTIONS = {"q1": ("What do owls eat?", "owls"), "q2": ("When must VAT be paid?", "taxes"), "q3": ("Who?", "gone")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A collection as BEIR has it, with answers beside the questions."""
    (tmp_path / "qrels").mkdir()
    corpus = [{"_id": key, "title": "", "text": text} for key, text in TEXTS.items()]
    queries = [
        {"_id": key, "text": text, "metadata": {"answers": ["mice"] if key == "q1" else []}}
        for key, (text, _) in QUESTIONS.items()
    ]
    for name, entries in (("corpus", corpus), ("queries", queries)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in entries))
    rows = "".join(f"{key}\t{document}\t1\n" for key, (_, document) in QUESTIONS.items())
    (tmp_path / "qrels/test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}q1\tlamps\t0\n")
    return tmp_path


@pytest.fixture
async def answers(engines: Engines) -> AsyncIterator[Answers]:
    async with opened(engines) as runtime:
        segments = Segments()
        yield Answers(runtime, AnswersSettings(), segments, Retrieval(runtime, segments, Learned()))


async def count(runtime: Runtime, table: str) -> int:
    async with runtime.db.read(fresh=True) as tx:
        return int(await tx.value(f"SELECT count(*) FROM answers.{table}"))


async def test_variants_are_measured_and_kept(answers: Answers, folder: Path) -> None:
    heard: list[str] = []
    found, lines = await evaluation.evaluate_set(answers, heard.append, set=folder)
    assert (found.documents, found.questions) == (4, 2), "a question whose document is missing doesn't count"
    assert [each.variant for each in found.variants] == ["dense", "bm25", "hybrid", "reranked"]
    for each in found.variants:
        assert each.figures["P@5"].mean <= 0.2
        assert each.figures["answer hit"].mean == 1
        assert set(each.took) > {"retrieval"}
    best = found.variants[-1].figures
    assert best["MRR"].mean == best["nDCG@10"].mean == best["R@10"].mean == 1
    assert not found.variants[0].differences
    assert found.variants[1].differences["MRR"].difference == pytest.approx(
        found.variants[1].figures["MRR"].mean - found.variants[0].figures["MRR"].mean
    )
    assert any(line.startswith("reranked: nDCG@10") and line.endswith("met") for line in lines)
    before = await count(answers.runtime, "chunk")
    again, _ = await evaluation.evaluate_set(answers, heard.append, set=folder, variants="bm25", sample=1)
    assert await count(answers.runtime, "chunk") == before, "what is indexed is indexed once"
    assert (again.questions, len(again.variants)) == (1, 1)
    kept = await evaluation.list_evaluations(answers.runtime, None, 1)
    assert kept.items == [again]
    assert (await evaluation.list_evaluations(answers.runtime, int(kept.next or 0), 1)).items == [found]
    sized, _ = await evaluation.evaluate_set(
        answers, heard.append, set=folder, variants="bm25", answerers="quoted,ask", chunk_tokens="16,64"
    )
    names = ["bm25 16 quoted", "bm25 16 ask", "bm25 64 quoted", "bm25 64 ask"]
    assert [each.variant for each in sized.variants] == names
    assert all(each.figures["says it"].mean == 1 for each in sized.variants if each.variant.endswith("quoted"))
    assert all({"answer", "all"} <= set(each.took) for each in sized.variants)
    for wrong in ({"answerers": "oracle"}, {"chunk_tokens": "64,x"}, {"chunk_tokens": "0"}):
        with pytest.raises(Invalid):
            await evaluation.evaluate_set(answers, heard.append, set=folder, **wrong)
    with pytest.raises(NoSuchVariant, match="hybrid"):
        await evaluation.evaluate_set(answers, heard.append, set=folder, variants="psychic")


async def test_answers_are_judged_where_right_ones_are_known(answers: Answers, folder: Path) -> None:
    async def answering(asked: Asked) -> str:
        return "Owls eat mice." if asked.passages[0].text == TEXTS["owls"] else "Nobody eats 17 owls."

    found = await evaluation.evaluate(answers, labelled.read(folder), ["hybrid"], answerings={"": Answering(answering)})
    [measured] = found.variants
    figures = {name: each.mean for name, each in measured.figures.items()}
    assert figures["says it"] == 1
    assert figures["exact match"] == 0
    assert figures["F1"] == pytest.approx(0.5)
    assert 0.4 < figures["similarity"] < 1
    assert figures["answer relevance"] > 0.5
    assert {"retrieval", "answer", "all"} <= set(measured.took)


def test_squad_is_read(tmp_path: Path) -> None:
    asked = {"id": "1", "question": "Who won?", "answers": [{"text": "Broncos"}, {"text": "Broncos"}]}
    unanswerable = {"id": "2", "question": "Who lost?", "answers": [], "is_impossible": True}
    article = {"title": "Super_Bowl", "paragraphs": [{"context": "The Broncos won.", "qas": [asked, unanswerable]}]}
    file = tmp_path / "dev.json"
    file.write_text(json.dumps({"data": [article]}))
    found = labelled.read(file)
    assert (found.name, found.documents[0].title) == ("dev", "Super Bowl")
    [question] = found.questions
    assert (question.relevant, question.answers) == ({"0": 1}, ["Broncos"])


@pytest.mark.parametrize(
    "text", ["", "[]", '{"data": []}', '{"data": [{"paragraphs": [{"context": "a", "qas": []}]}]}']
)
def test_what_is_no_labelled_collection_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "set.json"
    file.write_text(text)
    with pytest.raises(labelled.UnreadableSet):
        labelled.read(file)
    with pytest.raises(labelled.UnreadableSet, match="No such file"):
        labelled.read(tmp_path / "missing")
    with pytest.raises(labelled.UnreadableSet, match="No such file"):
        labelled.read(tmp_path)
