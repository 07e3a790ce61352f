"""The character model: its tokens are characters, its turns end, and equal seeds give equal answers."""

from __future__ import annotations

import random

from guerdon.core.samples import Chat
from guerdon.lab.chains import Chains
from guerdon.lab.characters import answers, character_model, character_tokenizer
from guerdon.models.encoding import ChatEncoder


def test_every_character_is_a_token_and_the_turn_has_an_end() -> None:
    tokenizer = character_tokenizer(["7 +5", "7+5=2\nanswer"])
    encoded = ChatEncoder(tokenizer)(Chat("7 +5", "7+5=2\nanswer 7"))
    spans, written, _ = encoded.tokens
    assert [tuple(span) for span in spans[:-1]] == [(i, i + 1) for i in range(14)]
    assert written.all()
    assert encoded.ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(encoded.ids[encoded.first : -1]) == "7+5=2\nanswer 7"


def test_a_model_learns_the_form_and_answers_alike_for_equal_seeds() -> None:
    world, rng = Chains(1, 5), random.Random(0)
    dialogues = [world.demonstrate(task, rng, 0.0) for task in world.tasks(16 * 120)]
    model, tokenizer = character_model(dialogues, layers=1, width=32, batch_size=16, learning_rate=1e-2)
    tasks = world.tasks(40, seed=1)
    said = answers(model, tokenizer, [task.prompt for task in tasks], max_tokens=24)
    assert said == answers(model, tokenizer, [task.prompt for task in tasks], max_tokens=24)
    assert said != answers(model, tokenizer, [task.prompt for task in tasks], max_tokens=24, seed=1)
    assert sum("answer" in one for one in said) > 30
