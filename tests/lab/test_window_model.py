"""The network that reads a window and remembers."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from guerdon.lab.characters import character_tokenizer  # noqa: E402
from guerdon.lab.window_model import WindowModel  # noqa: E402


@pytest.fixture(scope="module")
def model():
    return WindowModel.new(character_tokenizer(["0123456789"]), seed=0, width=32, window=3)


def states(model, *ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).last_hidden_state[0]


def test_a_state_does_not_depend_on_what_follows(model):
    assert states(model, 4, 5, 6, 7).shape == (4, 32)
    torch.testing.assert_close(states(model, 4, 5, 6, 7)[:3], states(model, 4, 5, 6))


def test_it_remembers_what_has_left_the_window(model):
    assert not torch.allclose(states(model, 4, 5, 6, 7, 8, 9)[-1], states(model, 5, 4, 6, 7, 8, 9)[-1])


def test_equal_seeds_give_equal_weights(model):
    again = WindowModel.new(character_tokenizer(["0123456789"]), seed=0, width=32, window=3)
    torch.testing.assert_close(states(again, 4, 5), states(model, 4, 5))
    other = WindowModel.new(character_tokenizer(["0123456789"]), seed=1, width=32, window=3)
    assert not torch.allclose(states(other, 4, 5), states(model, 4, 5))
