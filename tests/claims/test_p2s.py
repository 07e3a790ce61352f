"""Chains about facts: probabilities of their tokens, what the path is, and what pays."""

from __future__ import annotations

import numpy as np
import pytest

from guerdon.claims.p2s import GAIN, LEVEL, METRICS, OUTCOME, OwnPath, experiment, make, right, sound
from guerdon.core.context import EMPTY
from guerdon.lab import fact_chains
from guerdon.lab.fact_chains import CLOSE, FILLER, OPEN, READING, STOP, FactWriter, Lookup, lines_of
from guerdon.models import AnswerProbability, PathFaithfulness

LOOKUP = Lookup.draw(np.random.default_rng(0))
FIRST, SECOND = LOOKUP.line(LOOKUP.asked), LOOKUP.line(LOOKUP.city)


def chain(*lines, answer=LOOKUP.answer):
    return LOOKUP.chat(OPEN + "".join(f"{line}\n" for line in lines) + STOP + answer + CLOSE)


def test_probabilities_are_those_with_which_chains_are_written(monkeypatch):
    monkeypatch.setattr(fact_chains, "COMMON", 8.0)  # short chains, so that one can be counted
    writer, rng = FactWriter(), np.random.default_rng(1)
    texts = [writer.write(LOOKUP, rng).sample.text for _ in range(4000)]
    for wanted in (chain(), chain(FILLER), chain(FIRST)):
        (log_probs,) = writer.log_probs([wanted])
        expected = np.exp(log_probs.sum())
        assert expected > 0.005
        assert texts.count(wanted.text) / 4000 == pytest.approx(expected, abs=4 * np.sqrt(expected / 4000))


def test_tokens_are_lines_and_cover_the_text():
    sample = chain(FIRST, FILLER, SECOND)
    spans, written, _ = FactWriter().completion_tokens(sample)
    assert "".join(sample.text[a:b] for a, b in spans) == sample.text
    assert [sample.text[a:b] for a, b in spans[1:4]] == [f"{FIRST}\n", f"{FILLER}\n", f"{SECOND}\n"]
    assert written.all()


def test_a_line_that_is_no_fact_has_no_probability():
    with pytest.raises(ValueError, match="isn't a line"):
        FactWriter().log_probs([chain("Zoe lives in Oslo.")])


def test_the_answer_is_read_off_the_last_fact():
    samples = [chain(FIRST, SECOND), chain(SECOND, FIRST), chain(FIRST, SECOND, answer="Nowhere")]
    outcome = AnswerProbability(FactWriter())(samples).outcome
    assert outcome == pytest.approx([READING, 1 / 3, READING])
    assert [right(sample) for sample in samples] == [True, True, False]


def test_sound_chains_state_both_facts_in_order():
    assert sound(chain(FIRST, FILLER, SECOND))
    assert not sound(chain(SECOND, FIRST))
    assert sound(chain(FIRST, SECOND, SECOND))
    assert not sound(chain(SECOND, FIRST, SECOND))
    assert not sound(chain(FIRST))


def test_a_step_towards_the_path_pays_more_than_one_that_leads_away(monkeypatch):
    writer = FactWriter()
    reward = OwnPath(writer, PathFaithfulness(writer), seed=0)
    monkeypatch.setattr(reward, "_path", lambda lookup: [FIRST, SECOND, STOP])
    other = next(LOOKUP.line(s) for s in LOOKUP.facts if LOOKUP.line(s) not in (FIRST, SECOND))
    signal = reward.score_batch([chain(FIRST, SECOND), chain(other), chain()], EMPTY)
    assert signal.ok.all()
    assert signal.dense is not None
    on, off, bare = np.split(signal.dense.values, signal.dense.offsets[1:-1])
    assert on[0] > 0.05 > off[0]
    assert bare.size == 0


def test_paths_come_from_the_policy_and_end_in_the_mark_before_the_answer():
    writer = FactWriter()
    path = OwnPath(writer, PathFaithfulness(writer), seed=0)._path(LOOKUP)
    assert path is not None
    assert path[-1] == STOP
    assert lines_of(chain(*path[:-1])) == path[:-1]


def test_without_a_fitting_candidate_nothing_is_paid(monkeypatch):
    writer = FactWriter()
    monkeypatch.setattr(writer, "write", lambda *_: type("Wrong", (), {"sample": chain(FILLER)})())
    reward, _ = make(LEVEL, writer, 0.5, 0)
    signal = reward([chain(FIRST), chain(SECOND)])
    assert signal.ok.all()
    assert signal.dense is not None
    assert signal.dense.values.size == 0


@pytest.mark.parametrize("arm", [OUTCOME, LEVEL, GAIN])
def test_a_trial_is_deterministic(arm, monkeypatch):
    monkeypatch.setattr("guerdon.claims.p2s.STEPS", 3)
    one, two = (experiment(arm, {"learning_rate": 1.0, "weight": 0.5}, 20_000) for _ in range(2))
    assert one == two
    assert set(one.curves) == set(METRICS)
