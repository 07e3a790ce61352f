"""`score`: agreement with a plain call, the cache, streaming and arguments at the door."""

from __future__ import annotations

import time

import numpy as np
import pytest

import guerdon
from guerdon import Chat, Context, Score, Status
from guerdon.engine.cache import digest_samples
from guerdon.engine.run import Engine
from tests.core.strategies import assert_same


def samples(n=20):
    return [Chat(f"p{i % 4}", "x" * i, reference=i, group=i % 4) for i in range(n)]


@guerdon.reward
def rich(sample):
    if len(sample.completion) % 5 == 0:
        return None
    if len(sample.completion) % 7 == 0:
        raise ValueError("seven")
    return Score(float(len(sample.completion)), dense=[1.0, 2.0], note="n", std=0.5, parts={"a": 1.0})


@guerdon.reward(scope="group")
def rank(group):
    return [float(i) for i in range(len(group))]


@guerdon.reward(scope="batch")
def share(everything):
    return [1.0 / len(everything)] * len(everything)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "reward", [rich, rank, share, rich + rank, rich * share, rich.when(lambda s: s.reference > 3)]
)
def test_the_engine_gives_what_a_plain_call_gives(reward, workers):
    plain = reward(samples())
    scored = guerdon.score(reward, samples(), workers=workers)
    assert_same(scored, plain)
    assert scored.reasons == plain.reasons
    assert scored.notes == plain.notes
    assert scored.parts.keys() == plain.parts.keys()
    assert (scored.seconds >= 0).all()


class Counting(guerdon.Reward):
    """Counts its calls, in this process."""

    name = "counting"

    def __init__(self, factor=1.0):
        self.factor = factor
        self._calls = 0

    def score(self, sample, context):
        self._calls += 1
        if sample.reference == 3:
            raise ValueError("three")
        return None if sample.reference == 4 else self.factor * len(sample.completion)


def test_a_second_run_takes_values_from_the_cache(tmp_path):
    first = guerdon.score(Counting(), samples(), cache=tmp_path)
    again = Counting()
    second = guerdon.score(again, samples(), cache=tmp_path)
    assert_same(first, second)
    assert again._calls == 1, "only the failure is tried again"


def test_the_cache_tells_versions_arguments_and_samples_apart(tmp_path):
    guerdon.score(Counting(), samples(), cache=tmp_path)
    other = Counting(2.0)
    assert guerdon.score(other, samples(), cache=tmp_path).outcome[2] == 4.0
    newer = Counting()
    newer.version = "2"
    guerdon.score(newer, samples(), cache=tmp_path)
    assert newer._calls == 20
    same = Counting()
    guerdon.score(same, [Chat("p", "x", reference=99)], cache=tmp_path)
    assert same._calls == 1


def test_editing_a_function_changes_its_identity():
    def make(body):
        scope = {}
        exec(f"def f(sample):\n    return {body}", scope)
        return guerdon.reward(scope["f"]).fingerprint()

    assert make("1.0") == make("1.0")
    assert make("1.0") != make("2.0")


def test_rich_values_and_groups_survive_the_cache(tmp_path):
    for reward in (rich, rank):
        first = guerdon.score(reward, samples(), cache=tmp_path)
        second = guerdon.score(reward, samples(), cache=tmp_path)
        assert_same(first, second)
        assert first.notes == second.notes


@guerdon.reward
def by_step(sample, context):
    return float(context.step)


def test_a_reward_that_uses_the_context_is_cached_for_its_step_only(tmp_path):
    for step in (1, 2, 1):
        signal = guerdon.score(by_step, samples(), cache=tmp_path, context=Context(step=step))
        assert (signal.outcome == step).all()


def test_sample_digests_see_every_field():
    base = Chat("p", "c", "r", "g", {"a": 1})
    others = [
        Chat("q", "c", "r", "g", {"a": 1}),
        Chat("p", "d", "r", "g", {"a": 1}),
        Chat("p", "c", "s", "g", {"a": 1}),
        Chat("p", "c", "r", "h", {"a": 1}),
        Chat("p", "c", "r", "g", {"a": 2}),
        Chat("p", "c", "r", "g", {"a": np.array([1.0])}),
        Chat("p", "c", "r", "g", {"a": np.array([2.0])}),
        Chat("p", "\ud800", "r", "g", {"a": 1}),
        Chat("p", "c", "r", "g", {1: 1, "a": 1}),
    ]
    digests = {digest_samples([sample]) for sample in (base, *others)}
    assert len(digests) == len(others) + 1
    assert digest_samples([base]) == digest_samples([Chat("p", "c", "r", "g", {"a": 1})])


def test_streaming_gives_the_same_chunk_by_chunk():
    whole = guerdon.score(rich, samples())
    with Engine(rich, workers=1) as engine:
        pieces = [signal for _, signal in engine.stream([samples()[:7], samples()[7:]])]
    assert_same(guerdon.Signal.concat(pieces), whole)
    with Engine(share) as engine, pytest.raises(ValueError, match="can't be streamed"):
        next(engine.stream([samples()]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": -1}, "workers"),
        ({"workers": 1, "timeout": 0}, "timeout"),
        ({"backend": "slurm"}, "backend"),
    ],
)
def test_arguments_are_checked_at_the_door(options, message):
    with pytest.raises(ValueError, match=message):
        guerdon.score(rich, samples(), **options)
    with pytest.raises(TypeError, match=r"guerdon\.Reward"):
        guerdon.score(len, samples())


def test_no_samples():
    for workers in (0, 1):
        assert len(guerdon.score(rich + rank, [], workers=workers)) == 0


def test_a_group_reward_of_the_wrong_length_fails_its_group():
    @guerdon.reward(scope="group")
    def short(group):
        return [1.0]

    signal = guerdon.score(short, samples(8))
    assert (signal.status == Status.FAILED).all()
    assert "1 values for 2 samples" in signal.reasons[0]


def test_progress_is_shown_on_standard_error(capsys):
    guerdon.score(rich, samples(), progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "20/20" in shown.err


@guerdon.reward
def unhurried(sample):
    time.sleep(0.005)
    return float(len(sample.completion))


def test_an_interrupted_engine_can_be_used_again():
    """What an interrupted call left with the workers must not be taken for results of the next one."""

    def interrupt(count):
        raise KeyboardInterrupt

    with Engine(unhurried, workers=2) as engine:
        with pytest.raises(KeyboardInterrupt):
            engine.score([Chat("p", "x" * 50)] * 40, advance=interrupt)
        again = engine.score([Chat("p", "x" * i) for i in range(40)])
    assert again.outcome.tolist() == [float(i) for i in range(40)]
