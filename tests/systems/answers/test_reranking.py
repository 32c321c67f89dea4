"""The rerankers: the learned combination, and any cross-encoder as ONNX."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tenfold.platform.errors import Unavailable
from tenfold.systems.answers.engine.reranking import Candidate, CrossEncoder, Learned, Question, reranker
from tenfold.systems.answers.rules import bm25, relevance

WEIGHTS = dict.fromkeys(bm25.terms("where owls hunt mice lamp"), 2.0)
QUESTION = Question("Where do owls hunt mice?", WEIGHTS)


def test_settings_name_rerankers(tmp_path: Path) -> None:
    assert reranker("none") is None
    assert isinstance(reranker("learned"), Learned)
    found = reranker(str(tmp_path))
    assert isinstance(found, CrossEncoder)
    assert found.name == f"cross-encoder {tmp_path.name}"


async def test_what_says_the_question_is_worth_more() -> None:
    texts = [
        "Owls hunt mice in the fields.",
        "Owls live in towers. People walk in fields. Mice are small. Many hunt foxes.",
        "A lamp is lit.",
    ]
    candidates = [Candidate(text, 0.5, 4.0) for text in texts]
    together, apart, nothing = await Learned().score(QUESTION, candidates)
    assert 1 > together > apart > nothing > 0
    assert await Learned().score(QUESTION, []) == []


async def test_what_both_searches_take_for_good_is_worth_more() -> None:
    candidates = [Candidate("Owls.", cosine, score) for cosine, score in ((0.8, 6.0), (0.4, 6.0), (0.8, 1.0))]
    best, far, few = await Learned().score(QUESTION, candidates)
    assert best > max(far, few)


@given(st.text(), st.text(), st.floats(-1, 1), st.floats(0, 50))
def test_any_passage_has_a_score(question: str, passage: str, cosine: float, score: float) -> None:
    terms = bm25.terms(question)
    figures = relevance.figures(terms, passage, dict.fromkeys(terms, 1.0), cosine, score, (cosine, score))
    assert len(figures) == len(relevance.FIGURES) == len(relevance.WEIGHTS)
    assert 0 <= relevance.relevance(figures) <= 1
    assert all(0 <= figures[place] <= 1 + 1e-9 for place in (2, 3, 4, 5))


async def test_a_cross_encoder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await CrossEncoder(tmp_path).score(QUESTION, [Candidate("Owls.", 0.0, 0.0)])


def keep_model(folder: Path, classes: int) -> None:
    """A real ONNX model whose logit is the number of tokens of a pair that are marked as the passage's, less 2."""
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "[SEP]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A:0 [SEP]:0", pair="$A:0 [SEP]:0 $B:1", special_tokens=[("[SEP]", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    helper, number = onnx.helper, onnx.TensorProto
    inputs = [
        helper.make_tensor_value_info(name, number.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    nodes = [
        helper.make_node("Mul", ["token_type_ids", "attention_mask"], ["both"]),
        helper.make_node("Cast", ["both"], ["marked"], to=number.FLOAT),
        helper.make_node("ReduceSum", ["marked", "axes"], ["sum"], keepdims=1),
        helper.make_node("Sub", ["sum", "two"], ["one"]),
        helper.make_node("Neg", ["one"], ["other"]),
        helper.make_node("Concat", ["other", "one"] if classes == 2 else ["one"], ["logits"], axis=1),
    ]
    constants = [
        onnx.numpy_helper.from_array(np.array([1], np.int64), "axes"),
        onnx.numpy_helper.from_array(np.array([2], np.float32), "two"),
    ]
    output = helper.make_tensor_value_info("logits", number.FLOAT, ["batch", classes])
    graph = helper.make_graph(nodes, "pairs", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(folder / "model.onnx"))


@pytest.mark.parametrize(("classes", "slope"), [(1, 1.0), (2, 2.0)])
async def test_a_cross_encoder_sees_question_and_passage(tmp_path: Path, classes: int, slope: float) -> None:
    keep_model(tmp_path, classes)
    texts = ["one two three", "one", "one two", *["one two three four"] * 8]
    scores = await CrossEncoder(tmp_path).score(QUESTION, [Candidate(text, 0.0, 0.0) for text in texts])
    margins = [len(text.split()) - 2 for text in texts]
    assert scores == pytest.approx([1 / (1 + np.exp(-slope * margin)) for margin in margins], rel=1e-5)
    long = await CrossEncoder(tmp_path).score(QUESTION, [Candidate("word " * 5000, 0.0, 0.0)])
    assert long == [pytest.approx(1.0)]
