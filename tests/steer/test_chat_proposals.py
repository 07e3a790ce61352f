"""Next steps from a model that answers chats: what it is asked, and what of its reply is a step."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from guerdon.judges import LocalChat, ModelError, Reply, Usage
from guerdon.steer import BeamSearch
from guerdon.steer.chat_proposals import ask_step, chat_proposals
from tests.judges.models import raw_model

PROBLEM = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Count to three."}]
USAGE = Usage(9, 4)


class Counting:
    """Counts on, says three at the end, and knows how many of its calls were open at once."""

    def __init__(self, reply=None, usage=USAGE):
        self.asked, self.open, self.most = [], 0, 0
        self._reply, self._usage = reply, usage

    async def chat(self, messages, *, tools=(), **sampling):
        self.asked.append((messages, sampling))
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0.001)
        self.open -= 1
        number = 1 + messages[-1]["content"].count("Step ")
        said = f" {number}\n" if number < 3 else "3 <end> and more"
        return Reply(
            {"role": "assistant", "content": self._reply if self._reply is not None else said}, self._usage
        )


def proposals(model, prefixes, width=1, **options):
    return chat_proposals(model, PROBLEM, **options)(prefixes, width, np.random.default_rng(0))


def test_a_search_over_replies_ends_where_the_model_says_so():
    model = Counting()
    found = BeamSearch(beams=1, branch=2)(chat_proposals(model, PROBLEM), lambda p: [len(s) for s in p])
    assert (found.best.steps, found.stopped) == (("1", "2", "3"), "finished")
    assert found.spent[:2] == (6, 24)


def test_the_question_holds_the_problem_and_the_steps():
    model = Counting()
    proposals(model, [("one", "two")], temperature=0.5, max_tokens=7)
    ((messages, sampling),) = model.asked
    assert list(messages[:2]) == PROBLEM
    assert "Step 1: one\nStep 2: two\n" in messages[-1]["content"]
    assert "Write step 3" in messages[-1]["content"]
    assert (sampling["temperature"], sampling["max_tokens"]) == (0.5, 7)
    assert "no steps" in ask_step(PROBLEM, ())[-1]["content"]


@pytest.mark.parametrize(("concurrency", "most"), [(64, 12), (5, 5), (1, 1)])
def test_all_are_asked_at_once_within_bounds_and_come_back_in_order(concurrency, most):
    model = Counting()
    found = proposals(model, [(), ("1",), ("1", "2")], 4, concurrency=concurrency)
    assert [[one.step for one in steps] for steps in found] == [["1"] * 4, ["2"] * 4, ["3"] * 4]
    assert model.most == most
    assert len({sampling["seed"] for _, sampling in model.asked}) == 12


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("a <end>", ("a", 4, True)),
        ("<end>", ("", 4, True)),
        (" \n", ("", 4, True)),
        ("a\nb ", ("a\nb", 4, False)),
    ],
)
def test_what_of_a_reply_is_the_step(reply, expected):
    assert proposals(Counting(reply), [()]) == [[expected]]


def test_another_dialogue_may_ask():
    model = Counting()
    proposals(
        model, [("x",)], ask=lambda prompt, steps: [*prompt, {"role": "user", "content": "|".join(steps)}]
    )
    assert model.asked[0][0][-1]["content"] == "x"


def test_tokens_that_are_not_told_are_an_error():
    with pytest.raises(ModelError, match="how many tokens"):
        proposals(Counting(usage=None), [()])


@pytest.mark.parametrize("option", [{"temperature": -1}, {"max_tokens": 0}, {"concurrency": 0}])
def test_options_out_of_range_are_refused(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}: expected"):
        chat_proposals(Counting(), "x", **option)


def test_a_local_model_proposes_and_its_seeds_decide():
    pytest.importorskip("torch")
    model = LocalChat(*raw_model())
    first, again = (proposals(model, [(), ("a",)], 3, max_tokens=5) for _ in range(2))
    assert first == again
    assert len({one.step for steps in first for one in steps}) == 6
    assert all(1 <= one.tokens <= 5 for steps in first for one in steps)
