"""A tiny policy for a world, made on the spot: tokenizer, chat template, 1 M parameters."""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guerdon.core.extras import need
from guerdon.core.messages import Message
from guerdon.lab.world import World
from guerdon.train.quiet import quiet, stop_printing

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

START, END, CALL, CALL_END, PAD = "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<|pad|>"
# Fields of `train.TrainConfig` for this policy on a laptop; larger steps make it forget how to copy.
TRAINING: Mapping[str, Any] = {
    "learning_rate": 2.5e-4,
    "max_completion_length": 64,
    "options": {
        "lr_scheduler_type": "constant",
        "bf16": False,
        "use_cpu": True,
        "gradient_checkpointing": False,
    },
}
CONTENT = {"close_pattern": re.escape(END), "content": "text"}
TOOL_CALLS = {
    "open": CALL,
    "close": CALL_END,
    "repeats": True,
    "content": "json",
    "transform": {"type": "function", "function": "{content}"},
}


def make_policy(
    path: str | Path,
    world: World,
    *,
    seed: int = 0,
    steps: int = 160,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    habit: float = 0.6,
) -> Path:
    """Make a policy of about 1 M parameters that knows the format of a world but is often wrong.

    Builds a tokenizer and a Llama of 4 layers, and fine-tunes it with TRL's `SFTTrainer` on demonstrations of
    `world` that are wrong with probability `habit`, see its `demonstrate`: the policy learns the format and to
    copy from the prompt, and a bad habit. The folder `path` becomes an ordinary Hugging Face checkpoint with a
    chat template and a response template. Equal arguments give equal weights on one machine. Needs
    `guerdon[train]`.

    Raises `ValueError` where `habit` isn't in [0, 1] or a count isn't positive.
    """
    if not 0.0 <= habit <= 1.0:
        raise ValueError(f"make_policy.habit: expected a probability, got {habit}")
    if steps < 1 or batch_size < 1:
        raise ValueError(
            f"make_policy: expected steps and batch_size of at least 1, got {steps} and {batch_size}"
        )
    rng = random.Random(seed)
    tasks = world.tasks(steps * batch_size, rng.getrandbits(32))
    dialogues = [world.demonstrate(task, rng, habit) for task in tasks]
    tokenizer = make_tokenizer(dialogues[:4000], world.tools)
    model = make_model(tokenizer, seed)
    warm_start(
        model,
        tokenizer,
        dialogues,
        world.tools,
        seed=seed,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    with quiet():
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
    return Path(path)


def make_tokenizer(
    dialogues: Sequence[Sequence[Message]], tools: Sequence[Callable[..., Any]], vocab_size: int = 512
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer fitted to `dialogues`: any text round-trips, every digit is a token of its own.

    Its response template reads the calls of a turn where there are `tools`. Without, the tags of a call are text like
    any other.
    """
    tokenizers, transformers = need("tokenizers", "train"), need("transformers", "train")
    split = tokenizers.pre_tokenizers
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = split.Sequence(
        [split.Digits(individual_digits=True), split.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = tokenizers.decoders.ByteLevel()
    template = files("guerdon.lab").joinpath("chat_template.jinja").read_text("utf-8")

    def wrap() -> Any:
        return transformers.PreTrainedTokenizerFast(
            tokenizer_object=bpe,
            pad_token=PAD,
            eos_token=END,
            padding_side="left",
            chat_template=template,
            response_template={
                "defaults": {"role": "assistant"},
                "start_anchor": f"{START}assistant\n",
                "fields": {"content": CONTENT, **({"tool_calls": TOOL_CALLS} if tools else {})},
            },
        )

    texts = wrap().apply_chat_template(list(dialogues), tools=list(tools), tokenize=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, START, END, *((CALL, CALL_END) if tools else ())],
        initial_alphabet=sorted(split.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return wrap()


def make_model(
    tokenizer: PreTrainedTokenizerFast, seed: int, *, layers: int = 4, width: int = 128
) -> LlamaForCausalLM:
    """A Llama with random weights, of so many layers and, with 4 heads, of that width, a multiple of 8.

    Initial weights are four times the usual size and positions rotate faster than in a large model: with the
    usual ones a model this narrow needs several times the steps until it copies numbers from the question.
    """
    transformers = need("transformers", "train")
    transformers.set_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        initializer_range=0.08,
        rope_parameters={"rope_type": "default", "rope_theta": 300.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return transformers.LlamaForCausalLM(config)


def warm_start(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    dialogues: Sequence[Sequence[Message]],
    tools: Sequence[Callable[..., Any]],
    *,
    seed: int,
    batch_size: int,
    learning_rate: float,
) -> None:
    """Fine-tune on the assistant's turns of `dialogues`, each seen once."""
    trl, datasets = need("trl", "train"), need("datasets", "train")
    render: Any = tokenizer.apply_chat_template
    columns = render(list(dialogues), tools=list(tools), return_dict=True, return_assistant_tokens_mask=True)
    rows = datasets.Dataset.from_dict({name: columns[name] for name in ("input_ids", "assistant_masks")})
    with tempfile.TemporaryDirectory() as folder:
        args = trl.SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=batch_size,
            num_train_epochs=1,
            learning_rate=learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=20,
            max_grad_norm=1.0,
            seed=seed,
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        with quiet():
            trainer = trl.SFTTrainer(model, args, train_dataset=rows, processing_class=tokenizer)
            stop_printing(trainer)
            trainer.train()
