"""Labelled steps, and fitting a process reward model to them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.samples import Chat
from guerdon.core.segmenters import separated
from guerdon.models.process_reward import ProcessReward
from guerdon.models.step_examples import StepExample, chain_examples
from guerdon.models.step_fitting import fit_step_head
from guerdon.models.step_labels import StepLabels, first_error_labels
from guerdon.models.training import Fit
from tests.judges.models import raw_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from guerdon.models.step_head import StepHead  # noqa: E402

NONE = float("nan")


def make_head(**options: Any) -> StepHead:
    model, tokenizer = raw_model()
    return StepHead(copy.deepcopy(model), tokenizer, **options)


def chains(good: float = 1.0, bad: float = 0.0) -> list[StepLabels]:
    """Solutions of two steps, where a step that says "right" is labelled `good` and one that says "wrong" `bad`."""
    rows = list[StepLabels]()
    for i in range(16):
        words = ["right" if right else "wrong" for right in (i % 2, i // 2 % 2)]
        labels = [good if word == "right" else bad for word in words]
        rows.append(StepLabels.joined(f"Question {i}", words, labels))
    return rows


def fit(head: StepHead, rows: list[StepLabels], **options: Any) -> Fit:
    defaults = {"epochs": 6, "batch_size": 4, "learning_rate": 1e-3, "options": {"use_cpu": True}}
    return fit_step_head(head, rows, **{**defaults, **options})


# -- labelled steps --------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=6), min_size=1, max_size=5), st.sampled_from(["\n\n", "\n", " ки "]))
def test_joined_steps_are_where_they_say(steps, separator):
    row = StepLabels.joined("q", steps, np.zeros(len(steps)), separator=separator)
    assert [row.sample.text[start:end] for start, end in row.spans] == steps
    assert row.sample.text == separator.join(steps)


def test_segmented_steps_need_one_label_each():
    row = StepLabels.segmented(Chat("q", "a\n\nb"), [1, NONE], separated("\n\n"))
    assert row.spans.tolist() == [[0, 3], [3, 4]]
    with pytest.raises(ValueError, match=r"labels: expected shape \(2,\), one a step, got \(3,\)"):
        StepLabels.segmented(Chat("q", "a\n\nb"), [1, 1, 1], separated("\n\n"))


def test_labels_and_spans_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="infinite"):
        StepLabels.joined("q", ["a"], [np.inf])
    with pytest.raises(ValueError, match="spans: expected 0 <= start <= end <= 3"):
        StepLabels(Chat("q", "abc"), np.array([[0, 4]]), np.zeros(1))
    with pytest.raises(ValueError, match="spans"):
        StepLabels(Chat("q", "abc"), np.array([[2, 1]]), np.zeros(1))


def test_an_example_of_a_pair_is_one_labelled_step_without_the_boundary():
    fine, coarse = chain_examples(["a", "b", "c"], [1.0, 0.0, 1.0])[-2:]
    row, pair = StepLabels.of_example("q", fine), StepLabels.of_example("q", coarse)
    assert row.sample.text == "a\n\nb\n\nc"
    assert pair.sample.text == "a\n\nb\nc"
    for found, text in ((row, "c"), (pair, "b\nc")):
        (labelled,) = np.flatnonzero(~np.isnan(found.labels))
        start, end = found.spans[labelled]
        assert found.sample.text[start:end] == text
        assert found.labels[labelled] == 1.0
    with pytest.raises(ValueError, match="inner: expected text without the separator"):
        StepLabels.of_example("q", StepExample((), ("a", "b"), 1.0), inner="\n\n")


@pytest.mark.parametrize(
    ("error", "expected"), [(-1, [1, 1, 1]), (0, [0, NONE, NONE]), (1, [1, 0, NONE]), (2, [1, 1, 0])]
)
def test_steps_behind_the_first_error_have_no_label(error, expected):
    np.testing.assert_array_equal(first_error_labels(3, error), expected)


@pytest.mark.parametrize("error", [3, -2, 0.5])
def test_an_error_that_is_not_there_is_refused(error):
    with pytest.raises(ValueError, match="error"):
        first_error_labels(3, error)


# -- fitting ---------------------------------------------------------------------------------------------------------


def test_a_fitted_model_tells_right_steps_from_wrong_ones():
    head = make_head()
    found = fit(head, chains(), epochs=6)
    assert found.rejected == {}
    assert len(found.losses) == 6
    assert found.losses[-1] < 0.5 * found.losses[0]
    assert not head.training
    unseen = [Chat("Question 20", "right\n\nwrong"), Chat("Question 27", "wrong\n\nright")]
    values = ProcessReward(head)(unseen).dense.values
    assert (values > 0.5).tolist() == [True, False, False, True]


def test_soft_labels_are_reached_and_not_rounded():
    head = make_head()
    fit(head, chains(good=0.75, bad=0.25), epochs=6)
    values = ProcessReward(head)([Chat("Question 9", "right\n\nwrong")]).dense.values
    np.testing.assert_allclose(values, [0.75, 0.25], atol=0.12)


def test_ratings_are_regressed():
    head = make_head(output="rating", hidden=32)
    fit(head, chains(good=3.0, bad=-2.0), epochs=6)
    values = ProcessReward(head)([Chat("Question 9", "right\n\nwrong")]).dense.values
    np.testing.assert_allclose(values, [3.0, -2.0], atol=0.8)


def test_equal_arguments_give_equal_weights_and_print_nothing(capsys):
    prints = list[str]()
    for seed in (1, 1, 2):
        head = make_head()
        fit(head, chains(), seed=seed, epochs=1)
        prints.append(head.fingerprint())
    assert prints[0] == prints[1] != prints[2]
    captured = capsys.readouterr()
    assert captured.out == ""


def test_steps_without_a_label_change_nothing():
    with_none = [StepLabels(row.sample, row.spans, np.array([row.labels[0], NONE])) for row in chains()]
    labelled_only = [StepLabels(row.sample, row.spans[:1], row.labels[:1]) for row in chains()]
    one, other = make_head(), make_head()
    fit(one, with_none, epochs=1)
    fit(other, labelled_only, epochs=1)
    assert one.fingerprint() == other.fingerprint()


def test_rows_that_cannot_be_used_are_told_and_left_out():
    bad = [
        StepLabels.joined("q", ["a", "b"], [NONE, NONE]),
        StepLabels.joined("q", ["word " * 2000], [1]),
        StepLabels.joined("q", ["a", " "], [1, 0]),
        StepLabels.joined("q", ["", "a"], [NONE, 0]),
    ]
    one, other = make_head(), make_head()
    found = fit(one, [*bad, *chains()], epochs=1)
    assert list(found.rejected) == [0, 1, 2]
    assert "no step has a label" in found.rejected[0]
    assert "takes 1024 tokens" in found.rejected[1]
    assert "step 1: no token of its own" in found.rejected[2]
    fit(other, [bad[3], *chains()], epochs=1)
    assert one.fingerprint() == other.fingerprint()


def test_without_any_row_nothing_is_trained():
    with pytest.raises(ValueError, match="rows: expected one with a label"):
        fit(make_head(), [])
    with pytest.raises(ValueError, match="no step has a label"):
        fit(make_head(), [StepLabels.joined("q", ["a"], [NONE])])


def test_ratings_are_no_labels_of_a_probability():
    with pytest.raises(ValueError, match=r"rows\[16\]: expected labels in \[0, 1\]"):
        fit(make_head(), [*chains(), StepLabels.joined("q", ["a"], [-1])])


def test_a_frozen_backbone_stays_as_it_is():
    head = make_head()
    head.backbone.requires_grad_(False)
    before = copy.deepcopy(head.backbone.state_dict())
    found = fit(head, chains(), epochs=4, learning_rate=1e-2)
    assert found.losses[-1] < found.losses[0]
    assert all(torch.equal(before[name], weight) for name, weight in head.backbone.state_dict().items())


def test_a_loss_that_is_not_finite_is_an_error():
    head = make_head()
    with torch.no_grad():
        head.head.weight.fill_(NONE)
    with pytest.raises(FloatingPointError, match="training loss"):
        fit(head, chains(), epochs=1)


@pytest.mark.parametrize("options", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": -1.0}])
def test_options_out_of_range_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        fit(make_head(), chains(), **options)
