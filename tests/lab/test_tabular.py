import numpy as np
import pytest

from guerdon import Chat, Reward, Score
from guerdon.core.function import reward
from guerdon.core.signal import Signal
from guerdon.credit import StepGroupRelative
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise


@reward
def is_two(sample: Chat) -> float:
    """1 for the text 2."""
    return float(sample.text == "2")


def play_one(task, policy, rng):
    choice = policy.choose(task, 3, rng)
    return Rollout(Chat(task, str(choice)), [Decision(task, choice)])


class FirstTurn(Reward):
    """Pays turn 0 for choice 1, whatever turn 1 is; the outcome is the same for all."""

    def score(self, sample, context):
        return Score(1.0, dense=[float(sample.text[0] == "1"), 0.0], unit="turn")


def play_two(task, policy, rng):
    first, second = (policy.choose(state, 2, rng) for state in ("a", "b"))
    return Rollout(Chat(task, f"{first}{second}"), [Decision("a", first, 0), Decision("b", second, 1)])


def test_a_policy_learns_what_is_rewarded():
    policy = practise(TabularPolicy(), ["x", "y"], play_one, is_two, Practice(steps=60))
    assert policy.probabilities("x", 3)[2] > 0.95
    assert policy.probabilities("y", 3)[2] > 0.95


def test_a_turn_reward_reaches_the_decisions_of_its_turn_only():
    credit = StepGroupRelative(discount=0.0)
    policy = practise(TabularPolicy(), ["x"], play_two, FirstTurn(), Practice(steps=40), credit=credit)
    assert policy.probabilities("a", 2)[1] > 0.95
    assert policy.probabilities("b", 2)[1] == pytest.approx(0.5, abs=0.2)


def test_equal_seeds_give_equal_policies():
    def one(seed):
        return practise(TabularPolicy(), ["x"], play_one, is_two, Practice(steps=5), seed=seed).probabilities(
            "x", 3
        )

    assert np.array_equal(one(3), one(3))
    assert not np.array_equal(one(3), one(4))


def test_a_policy_learns_from_what_a_revision_puts_in_the_place_of_its_rollouts():
    seen = []

    def to_one(rollouts, signal):
        seen.append([rollout.sample.group for rollout in rollouts])
        fixed = Rollout(Chat("x", "1"), [Decision("x", 1)])
        return [fixed, *rollouts[1:]], Signal([1.0, *np.zeros(len(rollouts) - 1)])

    practice = Practice(steps=20, groups=1, group_size=4)
    policy = practise(TabularPolicy(), ["x"], play_one, is_two, practice, revise=to_one)
    assert policy.probabilities("x", 3).argmax() == 1
    assert seen == [[0, 0, 0, 0]] * 20


def test_weights_scale_what_a_decision_teaches():
    def after(weight):
        def weigh(rollouts, signal):
            return [rollout._replace(weights=[weight]) for rollout in rollouts], signal

        policy = practise(TabularPolicy(), ["x"], play_one, is_two, Practice(steps=1), revise=weigh)
        return np.log(policy.probabilities("x", 3)) - np.log(policy.probabilities("x", 3)[0])

    assert after(0.5) == pytest.approx(0.5 * after(1.0))
    assert after(0.0) == pytest.approx(np.zeros(3))


def test_a_step_follows_the_gradient():
    policy = TabularPolicy(lambda state, options: np.array([0.0, 1.0, 2.0]))
    p = policy.probabilities("s", 3)
    policy.improve([[Decision("s", 0)], [Decision("s", 2)]], np.array([[2.0], [-1.0]]), 0.5)
    step = 0.5 * ((2.0 * (np.eye(3)[0] - p)) - (np.eye(3)[2] - p)) / 2
    expected = np.exp(np.array([0.0, 1.0, 2.0]) + step)
    assert policy.probabilities("s", 3) == pytest.approx(expected / expected.sum())


def test_failed_samples_move_nothing():
    @reward
    def fails_on_two(sample: Chat) -> float:
        """Raises for the text 2, else 0."""
        if sample.text == "2":
            raise ValueError("no two")
        return 0.0

    policy = practise(TabularPolicy(), ["x"], play_one, fails_on_two, Practice(steps=3))
    assert policy.probabilities("x", 3) == pytest.approx([1 / 3] * 3)


def test_a_reward_that_scores_nothing_stops_the_practice():
    @reward
    def broken(sample: Chat) -> float:
        """Raises."""
        raise ValueError("no luck")

    with pytest.raises(ValueError, match=r"no sample of step 0 has a value.*no luck"):
        practise(TabularPolicy(), ["x"], play_one, broken)


def test_choices_follow_the_probabilities():
    policy, rng = TabularPolicy(lambda state, options: np.log([0.2, 0.5, 0.3])), np.random.default_rng(0)
    drawn = np.bincount([policy.choose("s", 3, rng) for _ in range(20_000)], minlength=3) / 20_000
    assert drawn == pytest.approx([0.2, 0.5, 0.3], abs=0.02)


def test_mistakes_are_named():
    policy = TabularPolicy()
    policy.probabilities("s", 3)
    with pytest.raises(ValueError, match="has 3 options, got 2"):
        policy.probabilities("s", 2)
    with pytest.raises(ValueError, match="tasks: expected at least one"):
        practise(policy, [], play_one, is_two)
    with pytest.raises(ValueError, match="learning_rate: expected above 0"):
        Practice(learning_rate=0.0)
    with pytest.raises(ValueError, match="groups: expected at least 1"):
        Practice(groups=0)

    def unplaced(task, policy, rng):
        return Rollout(Chat(task, "10"), [Decision("a", policy.choose("a", 2, rng), 0)])

    with pytest.raises(ValueError, match="dense value 1 of a sample belongs to no decision"):
        practise(TabularPolicy(), ["x"], unplaced, FirstTurn(), credit=StepGroupRelative())
