"""A language model over single characters, small enough to be made a hundred times in one experiment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from guerdon.core.extras import need
from guerdon.core.messages import Message
from guerdon.judges.local import LocalChat
from guerdon.lab.policy import END, PAD, START, make_model, warm_start
from guerdon.train.quiet import quiet

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

# A turn is its text between two marks, without a role: prompts and answers alternate.
_TEMPLATE = (
    "{%- for message in messages %}"
    "{%- if message.role == 'assistant' %}"
    "{{ '" + START + "' }}{%- generation %}{{ message.content + '" + END + "' }}{%- endgeneration %}"
    "{%- else %}{{ message.content }}{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '" + START + "' }}{%- endif %}"
)


def character_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer whose tokens are the characters that occur in `texts`; another character can't be encoded.

    Its chat template puts the mark of a start before an assistant's turn and that of an end behind it.
    """
    tokenizers, transformers = need("tokenizers", "train"), need("transformers", "train")
    characters = sorted({character for text in texts for character in text})
    vocabulary = {token: i for i, token in enumerate([PAD, START, END, *characters])}
    model = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    model.decoder = tokenizers.decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=model,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        padding_side="left",
        chat_template=_TEMPLATE,
    )


def character_model(
    dialogues: Sequence[Sequence[Message]],
    *,
    seed: int = 0,
    layers: int = 2,
    width: int = 64,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A model fine-tuned on the assistant's turns of `dialogues`, each seen once, and its tokenizer.

    Equal arguments give equal weights on one machine. Needs `guerdon[train]`.
    """
    tokenizer = character_tokenizer(str(message["content"]) for dialogue in dialogues for message in dialogue)
    model = make_model(tokenizer, seed, layers=layers, width=width)
    warm_start(model, tokenizer, dialogues, (), seed=seed, batch_size=batch_size, learning_rate=learning_rate)
    return model, tokenizer


def answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[Message]],
    *,
    seed: int = 0,
    temperature: float = 1.0,
    max_tokens: int = 64,
    batch_size: int = 256,
) -> list[str]:
    """One turn of the model for each prompt, drawn anew for equal ones. Equal arguments give equal answers."""

    async def ask() -> list[str]:
        with quiet():
            chat = LocalChat(model, tokenizer, batch_size=batch_size)
        replies = await asyncio.gather(
            *(
                chat.chat(prompt, temperature=temperature, max_tokens=max_tokens, seed=seed + i)
                for i, prompt in enumerate(prompts)
            )
        )
        return [str(reply.message["content"]) for reply in replies]

    return asyncio.run(ask())
