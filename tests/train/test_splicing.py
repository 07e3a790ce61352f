"""Which failures are repaired, from where on, and what takes their place; the loss of the guide's tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import guerdon
from guerdon import Chat, Score, Signal, Status
from guerdon.core.segmenters import lines
from guerdon.core.segments import Segments, Source
from guerdon.lab.chains import Chain, Operation, check_steps
from guerdon.train.mixed_policy import mixed_policy_loss, off_policy_loss
from guerdon.train.splicing import Draft, Recycled, Recycling, eligible, recycle, text_guide
from tests.judges.models import raw_model

CHAIN = Chain(7, (Operation("+", 5), Operation("*", 3), Operation("-", 4)), 10)
RIGHT = "7+5=2\n2*3=6\n6-4=2\nanswer 2"
LATE = "7+5=2\n2*3=6\n6-4=1\nanswer 1"  # wrong from step 2 of 4 on
EARLY = "7+5=3\n3*3=9\n9-4=5\nanswer 5"
HALF = "7+5=2\n2*3=5\n5-4=1\nanswer 1"


@guerdon.reward
def answer(sample: Chat) -> float:
    return float(check_steps(CHAIN, sample.text).answered)


@guerdon.reward
def steps(sample: Chat) -> Score:
    found = check_steps(CHAIN, sample.text).steps
    return Score(0.0, dense=[float(step.on_track) for step in found], unit="step", spans=lines(sample.text))


def letters(text: str, **fields: Any) -> Segments:
    """A token a character."""
    offsets = [(i, i + 1) for i in range(len(text))]
    return Segments.from_offsets([ord(c) for c in text], text, offsets, **fields)


def rollout(text: str, group: Any = 0) -> Chat:
    return Chat(CHAIN.text, text, group=group)


class Solver:
    """A guide that goes on with what stands behind the prefix in the solution, and remembers what it was asked."""

    def __init__(self, solution: str = RIGHT) -> None:
        self.solution, self.asked = solution, list[Draft]()

    def __call__(self, drafts: Sequence[Draft]) -> list[Segments | None]:
        self.asked.extend(drafts)
        return [letters(self.solution[len(draft.prefix) :]) for draft in drafts]


def recycled(
    texts: Sequence[str],
    guide: Any,
    *,
    groups: Sequence[Any] | None = None,
    segment: Any = None,
    **options: Any,
) -> Recycled:
    samples = [rollout(t, g) for t, g in zip(texts, groups or [0] * len(texts), strict=True)]
    segment = segment or (lambda sample: letters(sample.text))
    return recycle(samples, answer(samples), steps(samples), guide, answer, segment, Recycling(**options))


# -- what is repaired ----------------------------------------------------------------------------------------------


def test_a_failure_is_repaired_behind_its_last_good_step() -> None:
    guide = Solver()
    found = recycled([EARLY, LATE, EARLY], guide)
    assert [s.text for s in found.samples] == [EARLY, RIGHT, EARLY]
    assert found.signal.outcome.tolist() == [0.0, 1.0, 0.0]
    (draft,) = guide.asked
    assert (draft.prefix, draft.faulty, draft.step) == ("7+5=2\n2*3=6\n", "6-4=1\n", 2)
    repair = found.repairs[1]
    assert repair.quality == 0.5
    assert repair.kept == len(draft.prefix)
    assert (repair.segments.sources[: repair.kept] == Source.POLICY).all()
    assert (repair.segments.sources[repair.kept :] == Source.OFF_POLICY).all()
    assert found.samples[1].extra["completion_ids"] == [ord(c) for c in RIGHT]
    assert found.samples[1].group == 0


def test_right_rollouts_and_those_that_went_wrong_early_stay() -> None:
    guide = Solver()
    found = recycled([RIGHT, EARLY, HALF, LATE], guide, min_quality=0.75)
    assert not found.repairs
    assert not guide.asked
    assert [s.text for s in found.samples] == [RIGHT, EARLY, HALF, LATE]


def test_the_best_failures_of_each_group_and_never_the_last_one() -> None:
    texts = [HALF, LATE, LATE, EARLY, LATE]
    assert set(recycled(texts, Solver(), min_quality=0.2).repairs) == {1}
    assert set(recycled(texts, Solver(), min_quality=0.2, per_group=2).repairs) == {1, 2}
    assert set(recycled(texts, Solver(), min_quality=0.2, groups=[0, 0, 1, 1, 2]).repairs) == {1, 2}
    assert not recycled([LATE], Solver()).repairs
    assert not recycled([LATE, RIGHT], Solver()).repairs
    assert set(recycled([LATE, LATE, RIGHT], Solver()).repairs) == {0}
    assert not recycled([LATE, LATE, RIGHT], Solver(), max_successes=0).repairs


@given(
    st.lists(
        st.tuples(st.sampled_from([np.nan, 0.0, 0.3, 0.5, 0.9]), st.sampled_from("rfx"), st.integers(0, 2)),
        max_size=12,
    ),
    st.integers(1, 4),
)
def test_every_group_keeps_a_failure_and_its_limit(rows: list[Any], per_group: int) -> None:
    quality = np.array([q for q, *_ in rows], dtype=float)
    right, failed = (np.array([s == kind for _, s, _ in rows], dtype=bool) for kind in "rf")
    groups = np.array([g for *_, g in rows], dtype=np.int64)
    chosen = eligible(quality, right, failed, groups, Recycling(per_group=per_group))
    assert not (chosen & ~failed).any()
    assert (quality[chosen] >= 0.5).all()
    for code in np.unique(groups):
        mine = groups == code
        count = (chosen & mine).sum()
        wanted = (failed & mine & (quality >= 0.5)).sum()
        assert count == max(0, min(per_group, wanted, (failed & mine).sum() - 1))
        if count:
            left = failed & mine & ~chosen & ~np.isnan(quality)
            assert quality[chosen & mine].min() >= quality[left].max(initial=0)


def test_a_step_more_is_written_anew_on_demand() -> None:
    guide = Solver()
    found = recycled([LATE, EARLY], guide, back=1, min_quality=0.2)
    assert guide.asked[0].prefix == "7+5=2\n"
    assert found.repairs[0].quality == 0.25


def test_a_failure_without_a_wrong_step() -> None:
    short = "7+5=2\n2*3=6\n6-4=2"  # no answer
    assert not recycled([short, EARLY], Solver()).repairs
    guide = Solver()
    assert set(recycled([short, EARLY], guide, without_error="last").repairs) == {0}
    assert guide.asked[0].faulty == "6-4=2"


def test_the_whole_rollout_as_a_baseline() -> None:
    found = recycled([LATE, EARLY], Solver(), whole=True)
    assert found.repairs[0].kept == 0
    assert (found.repairs[0].segments.sources == Source.OFF_POLICY).all()
    assert found.samples[0].text == RIGHT


def test_a_token_that_reaches_into_the_wrong_step_goes() -> None:
    def segment(sample: Chat) -> Segments:
        text = (
            sample.text
        )  # five characters a token: one has "6", the line break, and "6-4" of the wrong step
        places = [(i, min(i + 5, len(text))) for i in range(0, len(text), 5)]
        return Segments.from_offsets(range(len(places)), text, places)

    guide = Solver()
    found = recycled([LATE, EARLY], guide, segment=segment)
    assert guide.asked[0].prefix == "7+5=2\n2*3="
    assert found.samples[0].text == RIGHT
    assert found.repairs[0].kept == 2
    assert found.repairs[0].segments.ids[:2].tolist() == [0, 1]


# -- repairs that are dropped --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "options", "reason"),
    [
        (None, {}, "nothing"),
        (letters(" \n"), {}, "nothing"),
        (letters("7+5=2\n2*3=6\n6-4=2\nanswer 2"), {}, "repeats"),
        (letters("6-4=2\nanswer 3"), {}, "isn't right"),
        (letters("6-4=2\nanswer 2"), {"max_tokens": 20}, "more than 20"),
    ],
)
def test_a_bad_repair_leaves_the_failure(reply: Any, options: dict[str, Any], reason: str) -> None:
    found = recycled([LATE, EARLY], lambda drafts: [reply] * len(drafts), **options)
    assert not found.repairs
    assert reason in found.reasons[0]
    assert [s.text for s in found.samples] == [LATE, EARLY]
    assert found.signal.outcome.tolist() == [0.0, 0.0]


def test_the_guide_is_asked_again_for_what_is_not_repaired_yet() -> None:
    asked = list[int]()

    @guerdon.reward
    def lines_if_right(sample: Chat) -> float:
        return sample.text.count("\n") * float(check_steps(CHAIN, sample.text).answered)

    def guide(drafts: Sequence[Draft]) -> list[Segments | None]:
        asked.append(len(drafts))
        if len(asked) == 1:
            return [letters("answer 9"), letters("6-4=2\nanswer 2")]
        return [letters("6-4=2\n2+0=2\nanswer 2")]

    samples = [rollout(LATE)] * 3
    found = recycle(
        samples,
        lines_if_right(samples),
        steps(samples),
        guide,
        lines_if_right,
        lambda sample: letters(sample.text),
        Recycling(per_group=2, tries=4),
    )
    assert asked == [2, 1]
    assert set(found.repairs) == {0, 1}
    assert found.signal.outcome.tolist() == lines_if_right(found.samples).outcome.tolist() == [4.0, 3.0, 0.0]
    assert not found.reasons


def test_failures_whose_steps_cannot_be_judged_are_told() -> None:
    samples = [rollout(LATE), rollout(LATE), rollout(EARLY), rollout(LATE)]
    process = steps(samples)
    status = process.status.copy()
    status[0] = Status.FAILED
    found = recycle(
        samples,
        answer(samples),
        process.replace(status=status, reasons={0: "out of memory"}),
        Solver(),
        answer,
        lambda sample: letters(sample.text),
    )
    assert set(found.repairs) == {1}
    assert found.reasons[0] == "out of memory"


def test_tokens_that_cannot_be_told_are_a_reason() -> None:
    def unknown(sample: Chat) -> Segments:
        raise ValueError("the text of a turn is not what its tokens decode to")

    found = recycled([LATE, EARLY], Solver(), segment=unknown)
    assert found.reasons == {0: "the text of a turn is not what its tokens decode to"}
    cut = recycled([LATE, EARLY], Solver(), segment=lambda sample: letters(sample.text[:15]))
    assert "the text has 15" in cut.reasons[0]


def test_rollouts_of_several_turns_and_unscored_ones_stay() -> None:
    turns = [{"role": "assistant", "content": LATE}, {"role": "assistant", "content": "done"}]
    samples = [Chat(CHAIN.text, turns, group=0), rollout(EARLY), rollout(EARLY)]
    process = steps([rollout(LATE), rollout(EARLY), rollout(EARLY)])
    segment = lambda sample: letters(sample.text)  # noqa: E731
    assert not recycle(samples, answer(samples), process, Solver(), answer, segment).repairs
    abstained = Signal.abstained(3)
    same = [rollout(LATE)] * 3
    assert not recycle(same, abstained, steps(same), Solver(), answer, segment).repairs
    assert not recycle(same, answer(same), abstained, Solver(), answer, segment).repairs
    assert recycle([], Signal([]), Signal([]), Solver(), answer, segment).samples == []


def test_signals_and_guides_that_do_not_fit() -> None:
    samples, segment = [rollout(LATE), rollout(EARLY)], lambda sample: letters(sample.text)
    with pytest.raises(ValueError, match="guide: expected 1 answers, got 0"):
        recycle(samples, answer(samples), steps(samples), lambda drafts: [], answer, segment)
    with pytest.raises(ValueError, match="process: expected 2 rows"):
        recycle(samples, answer(samples), steps(samples[:1]), Solver(), answer, segment)
    turns = Signal.from_values([Score(0.0, dense=[0.1], unit="turn")] * 2)
    with pytest.raises(ValueError, match="unit step with spans"):
        recycle(samples, answer(samples), turns, Solver(), answer, segment)
    with pytest.raises(ValueError, match="process: expected dense values of unit 'step', got none"):
        recycle(samples, answer(samples), answer(samples), Solver(), answer, segment)


@pytest.mark.parametrize(
    "options",
    [
        {"min_quality": 1.5},
        {"tries": 0},
        {"back": -1},
        {"per_group": 0},
        {"without_error": "first"},
        {"max_tokens": 0},
    ],
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Recycling(**options)


def test_a_guide_of_texts_ends_the_turn() -> None:
    tokenizer = raw_model()[1]
    guide = text_guide(lambda drafts: ["6-4=2\nanswer 2", None], tokenizer)
    draft = Draft(rollout(LATE), "", np.empty(0, dtype=np.int64), "", 2)
    found, nothing = guide([draft, draft])
    assert nothing is None
    assert found is not None
    assert found.text == "6-4=2\nanswer 2"
    assert found.ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(found.ids[:-1].tolist()) == found.text
    assert np.isnan(found.log_probs).all()


# -- loss ----------------------------------------------------------------------------------------------------------

LOGS = st.floats(-8.0, 0.0)


@given(st.lists(st.tuples(LOGS, LOGS, st.floats(-2, 2), st.booleans()), min_size=1, max_size=6))
def test_each_token_has_the_loss_of_its_author(rows: list[Any]) -> None:
    log_pi, old, advantages, off = (np.array([list(column)]) for column in zip(*rows, strict=True))
    found = mixed_policy_loss(log_pi, old, advantages, off, clip=0.2, gamma=0.1, weight=0.5)
    for k, (pi, before, a, other) in enumerate(rows):
        ratio, u = np.exp(pi - before), np.exp(pi)
        clipped = -min(ratio * a, min(max(ratio, 0.8), 1.2) * a)
        assert found[0, k] == pytest.approx(
            -0.5 * u / (u + 0.1) * a if other else clipped, rel=1e-9, abs=1e-12
        )


def test_probabilities_of_the_guide_where_they_are_known() -> None:
    log_pi, advantages = np.log([[0.2, 0.2]]), np.ones((1, 2))
    behaviour = np.array([[np.log(0.4), np.nan]])
    assert off_policy_loss(log_pi, advantages, behaviour, gamma=None) == pytest.approx(
        np.array([[-0.5, -0.2]])
    )
    assert off_policy_loss(log_pi, advantages, behaviour) == pytest.approx(
        np.array([[-0.5 / 0.6, -0.2 / 0.3]])
    )


def test_gradient_reaches_unlikely_tokens_and_old_log_probs_have_no_influence() -> None:
    torch = pytest.importorskip("torch")
    log_pi = torch.tensor([[-1.0, -6.0, -0.5]], requires_grad=True)
    off = torch.tensor([[False, True, True]])
    old = torch.tensor([[-1.1, -torch.inf, 200.0]])
    loss = mixed_policy_loss(log_pi, old, torch.ones(1, 3), off)
    loss.sum().backward()
    u = log_pi.detach().exp()[0, 1:]
    assert torch.isfinite(loss).all()
    torch.testing.assert_close(log_pi.grad[0, 1:], -0.1 * u / (u + 0.1) ** 2)
    assert log_pi.grad[0, 0] == pytest.approx(-np.exp(0.1), rel=1e-5)
    plain = mixed_policy_loss(*(t.detach().numpy() for t in (log_pi, old, torch.ones(1, 3), off)))
    np.testing.assert_allclose(loss.detach().numpy(), plain, rtol=1e-6)


@pytest.mark.parametrize(("log_prob", "old"), [(-math.inf, -math.inf), (-1.0, -1000.0), (math.nan, -1.0)])
def test_a_ratio_that_is_no_number_is_refused(log_prob: float, old: float) -> None:
    torch = pytest.importorskip("torch")
    ones = torch.ones(1, 2)
    given = torch.tensor([[log_prob, -1.0]]), torch.tensor([[old, -1.0]])
    with pytest.raises(ValueError, match="expected a finite ratio of every token of the policy"):
        mixed_policy_loss(*given, ones, torch.tensor([[False, False]]))
    loss = mixed_policy_loss(torch.tensor([[-1.0, -1.0]]), given[1], ones, torch.tensor([[True, False]]))
    assert torch.isfinite(loss).all()


def test_shapes_and_options_of_the_loss() -> None:
    ones = np.ones((1, 2))
    with pytest.raises(ValueError, match="advantages"):
        off_policy_loss(ones, np.ones((1, 3)))
    with pytest.raises(ValueError, match="gamma"):
        off_policy_loss(ones, ones, gamma=0.0)
    with pytest.raises(ValueError, match="weight"):
        off_policy_loss(ones, ones, weight=-1.0)
    with pytest.raises(ValueError, match="off_policy"):
        mixed_policy_loss(ones, ones, ones, np.ones((2, 2), dtype=bool))
    with pytest.raises(ValueError, match="clip"):
        mixed_policy_loss(ones, ones, ones, ones > 0, clip=0.0)
