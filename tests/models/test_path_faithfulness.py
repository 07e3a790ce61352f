"""Rewards by the probability of a path or an answer: hand-worked scores, spans, and a policy that can be read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon import Chat
from guerdon.core.context import Context
from guerdon.core.signal import Status
from guerdon.models.answer_probability import AnswerProbability, answer_probability
from guerdon.models.continuation import Continuation, continuation_log_probs
from guerdon.models.encoding import CompletionTokens
from guerdon.models.path_faithfulness import PathFaithfulness, aligned_steps, line_spans, path_faithfulness

A, F, OK = Status.ABSTAINED, Status.FAILED, Status.OK
KNOWN, NEW = -0.1, -2.0


class Recall:
    """A policy with a token a word, which knows each word that it has seen in prompt or completion."""

    def completion_tokens(self, sample):
        if "unreadable" in sample.text:
            raise ValueError("too long")
        spans, at = [], 0
        for word in sample.text.split():
            at = sample.text.index(word, at)
            spans.append((at, at + len(word)))
            at += len(word)
        spans.append((len(sample.text), len(sample.text)))
        return CompletionTokens(np.array(spans), np.ones(len(spans), bool))

    def log_probs(self, samples):
        rows = []
        for sample in samples:
            words = sample.text.split()
            seen = [set(f"{sample.prompt} {' '.join(words[:k])}".split()) for k in range(len(words))]
            rows.append(
                np.array([*(KNOWN if w in s else NEW for w, s in zip(words, seen, strict=True)), -9.0])
            )
        return rows


def test_alignments():
    assert aligned_steps(4, 3) == [[1], [2], [2], [2]]
    assert aligned_steps(4, 2, "proportional") == [[1], [1], [1], [1]]
    assert aligned_steps(2, 6, "proportional") == [[3], [5]]
    assert aligned_steps(5, 1, "proportional") == [[0]] * 5
    assert aligned_steps(2, 2, "best") == [[0, 1], [0, 1]]
    assert aligned_steps(0, 2) == []


@given(steps=st.integers(0, 20), path=st.integers(1, 20), alignment=st.sampled_from(["same", "proportional"]))
def test_alignments_never_go_back_and_leave_a_suffix(steps, path, alignment):
    chosen = [j for (j,) in aligned_steps(steps, path, alignment)]
    assert chosen == sorted(chosen)
    assert all(0 <= j < path for j in chosen)


def test_level_gain_and_the_best_suffix():
    scores = np.log([[0.1, 0.2], [0.3, 0.6], [0.9, 0.5]])
    assert path_faithfulness(scores, form="level") == pytest.approx([0.6, 0.5])
    assert path_faithfulness(scores) == pytest.approx([0.4, 0.3])
    assert path_faithfulness(scores, alignment="best") == pytest.approx([0.4, 0.8])


@given(st.lists(st.lists(st.floats(-50, 0), min_size=3, max_size=3), min_size=1, max_size=5))
def test_bounds_and_no_gain_from_steps_that_change_nothing(rows):
    assert (np.abs(path_faithfulness(rows, alignment="best")) <= 1).all()
    assert not path_faithfulness([rows[0]] * 4).any()


def test_only_cells_that_are_asked_for_matter():
    nan = math.nan
    assert path_faithfulness([[nan, nan], [nan, -1.0]], form="level") == pytest.approx([math.exp(-1)])
    for scores in ([[nan, nan], [nan, -1.0]], [[0.0, -1.0], [0.0, 0.5]]):
        with pytest.raises(ValueError, match="for step 1"):
            path_faithfulness(scores)
    with pytest.raises(ValueError, match="scores: expected shape"):
        path_faithfulness([[]])


@given(text=st.text(alphabet="ab \n\r\x0b", max_size=30), shortest=st.integers(1, 4))
def test_spans_of_lines_cover_the_text(text, shortest):
    spans = line_spans(text, shortest=shortest)
    assert "".join(text[start:end] for start, end in spans) == (text if text.strip() else "")
    assert all(text[start:end].strip() for start, end in spans)


def test_short_lines_join_the_next():
    text = "So:\nfirst line\n\nlast\n.\n"
    assert [text[a:b] for a, b in line_spans(text, shortest=4)] == ["So:\nfirst line\n", "\nlast\n.\n"]


def test_tokens_of_a_continuation_are_its_own():
    rows = continuation_log_probs(
        Recall(),
        [
            Continuation(Chat("q", "x"), "a b ", "a c"),
            Continuation(Chat("q", "x"), "a", "b"),
            Continuation(Chat("q", "x"), "", "unreadable"),
        ],
    )
    assert rows[0].tolist() == [KNOWN, NEW]
    assert "no token of its own" in rows[1].reason
    assert "too long" in rows[2].reason
    assert continuation_log_probs(Recall(), []) == []


PATH = ["Anna is in Rome", "Rome is in Italy"]


def scored(text, reference=PATH, policy=None, **options):
    sample = Chat("q", text, reference=reference)
    return PathFaithfulness(**options)([sample], Context(policy=policy or Recall()))


def test_a_step_that_names_the_link_is_paid_and_filler_is_not():
    text = "<think>\nWell then\nItaly has Rome\n</think> so"
    signal = scored(text)
    # The suffix "Rome is in Italy" has four tokens; the second step makes two of them known.
    gain = math.exp((2 * NEW + 2 * KNOWN) / 4) - math.exp(NEW)
    assert signal.dense.values == pytest.approx([0, gain])
    assert [text[a:b] for a, b in signal.dense.spans] == ["\nWell then\n", "Italy has Rome\n"]
    assert signal.dense.unit == "step"
    assert signal.outcome.tolist() == [0]


@pytest.mark.parametrize("alignment", ["same", "proportional", "best"])
@pytest.mark.parametrize("form", ["gain", "level"])
def test_every_option_scores_a_copied_path_best(alignment, form):
    options = {"alignment": alignment, "form": form}
    copied = scored("<think>" + "\n".join(PATH) + "</think>", **options).dense.values
    filler = scored("<think>well\nthen</think>", **options).dense.values
    assert (copied > filler).all()


def test_a_path_is_text_or_a_list():
    text = "<think>Italy has Rome</think>"
    assert scored(text, "\n".join(PATH)).dense.values.tolist() == scored(text).dense.values.tolist()


def test_samples_without_a_value_say_why():
    for text, reference, status, reason in (
        ("no tags", PATH, A, "has no block of <think>"),
        ("<think> \n </think>", PATH, A, "has no step"),
        ("<think>a</think>", None, A, "expected a path"),
        ("<think>a</think>", [], A, "expected a path"),
        ("<think>a</think>", ["a", " "], A, "expected a path"),
        ("<think>a</think>", " \n", A, "expected a path"),
        ("<think>a</think>", [1], A, "expected a path"),
        ("<think>unreadable</think>", PATH, F, "too long"),
    ):
        signal = scored(text, reference)
        assert signal.status.tolist() == [status]
        assert reason in signal.reasons[0]
    signal = PathFaithfulness()([Chat("q", "<think>a</think>", reference=PATH), object()])
    assert signal.status.tolist() == [F, F]
    assert "policy is a LogProbs" in signal.reasons[0]


def test_the_mean_probability_of_an_answer():
    assert answer_probability(np.log([0.2, 0.6])) == pytest.approx(0.4)
    assert answer_probability([-math.inf, 0.0]) == 0.5
    assert answer_probability(np.log([0.2, 0.6]), np.log([0.1])) == pytest.approx(0.3)
    assert answer_probability(np.log([0.2]), np.log([0.6])) == 0
    for bad in ([], [0.1], [math.nan], [[-1.0]]):
        with pytest.raises(ValueError, match="log_probs: expected"):
            answer_probability(bad)
    with pytest.raises(ValueError, match="without: expected"):
        answer_probability([-1.0], [])


def test_reasoning_that_reaches_the_answer_is_paid():
    texts = [
        "<think>so Rome</think><answer> Paris</answer>",
        "<think>so</think><answer> Paris</answer>",
        "Rome",
    ]
    samples = [Chat("q", text, reference=" Rome") for text in texts]
    context = Context(policy=Recall())
    # "Rome" in the reasoning sticks to its closing tag, so that only a separate word is recalled.
    samples.append(Chat("q", "Rome then <answer> x</answer>", reference=" Rome"))
    assert AnswerProbability()(samples, context).outcome == pytest.approx(
        np.exp([NEW, NEW, -math.inf, KNOWN])
    )
    gain = AnswerProbability(gain=True)(samples, context).outcome
    assert gain == pytest.approx([0, 0, 0, math.exp(KNOWN) - math.exp(NEW)])


def test_answers_that_can_not_be_scored():
    samples = [
        Chat("q", "<answer>a</answer>"),
        Chat("q", "<answer>a</answer>", reference=" "),
        Chat("q", "<answer>a</answer>", reference=7),
        Chat("q", "<answer>a</answer>", reference=" unreadable"),
        object(),
    ]
    assert AnswerProbability(Recall())(samples).status.tolist() == [A, A, A, F, A]
    with pytest.raises(ValueError, match="tag: expected"):
        AnswerProbability(tag="")
