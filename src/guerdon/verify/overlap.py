"""Rewards for n-gram overlap with reference texts."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain
from guerdon.verify.bleu import ReferenceLength, Smoothing, sentence_bleu
from guerdon.verify.chrf import sentence_chrf
from guerdon.verify.ngrams import EmptyReference
from guerdon.verify.rouge import sentence_rouge
from guerdon.verify.tokenize import Tokenizer


def answer_text(text: str) -> str:
    """What stands between the last `<answer>` and the next `</answer>`.

    The rest of the text where that tag is not closed, and all of it where there is no tag.
    """
    return text.rpartition("<answer>")[2].partition("</answer>")[0]


def reference_texts(reference: Any) -> list[str]:
    """References of a sample: a text or a list of texts. Raises `Abstain` for anything else and for an empty list."""
    texts = [reference] if isinstance(reference, str) else reference
    if not isinstance(texts, (list, tuple)):
        raise Abstain(f"reference: expected text or a list of texts, got {type(reference).__name__}")
    if not texts:
        raise Abstain("reference: expected at least one text, got an empty list")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise Abstain(f"reference[{i}]: expected text, got {type(text).__name__}")
    return list(texts)


class _Overlap(Reward):
    """Compares the last assistant turn with `sample.reference`."""

    uses_context = False

    def __init__(self, answer_only: bool, **options: Any) -> None:
        self.answer_only = answer_only
        self.options = options
        with suppress(EmptyReference):
            self.compare("", ["a"])  # a wrong option raises here rather than in every sample

    def compare(self, text: str, references: list[str]) -> float:
        raise NotImplementedError

    def score(self, sample: Chat, context: Context) -> float:
        references = reference_texts(sample.reference)
        text = sample.final
        if self.answer_only:
            text = answer_text(text)
        try:
            value = self.compare(text, references)
        except EmptyReference as error:
            raise Abstain(str(error)) from None
        return value if text.strip() else 0.0


@register("bleu", example="{reward: bleu, answer_only: true}")
class Bleu(_Overlap):
    """Sentence BLEU of the completion against its references, in [0, 1].

        R(y, {r_1..r_K}) = BLEU(y, {r_1..r_K})          see `sentence_bleu` for the equation and the options

    The defaults are BLEUBERI's: 13a tokens with case kept, add-one smoothing of every order, shortest reference.
    Long completions are held back by precision alone: the brevity penalty only bounds the short side.

    `answer_only`: compare what stands in `<answer>` tags (all of the text where there are none), for completions
    that reason first. The reference is a text or a list of texts. A blank completion scores 0. Abstains where the
    reference is missing, isn't text, or has no tokens.

    Chang, Kim, Krumdick, Zadeh, Li, Tanner, Iyyer, "BLEUBERI: BLEU is a surprisingly effective reward for
    instruction following", arXiv 2505.11080, repository lilakk/BLEUBERI.
    """

    name = "bleu"

    def __init__(
        self,
        max_order: int = 4,
        smoothing: Smoothing = "add_one",
        smooth_value: float | None = None,
        effective_order: bool = False,
        reference_length: ReferenceLength = "shortest",
        tokenizer: str | Tokenizer = "13a",
        lowercase: bool = False,
        answer_only: bool = False,
    ) -> None:
        super().__init__(
            answer_only,
            max_order=max_order,
            smoothing=smoothing,
            smooth_value=smooth_value,
            effective_order=effective_order,
            reference_length=reference_length,
            tokenizer=tokenizer,
            lowercase=lowercase,
        )

    def compare(self, text: str, references: list[str]) -> float:
        return sentence_bleu(text, references, **self.options)


@register("rouge", example="{reward: rouge, variant: rouge1}")
class Rouge(_Overlap):
    """ROUGE F1 of the completion against its best reference, in [0, 1].

    `variant`: `rougeL` or `rouge1` … `rouge9`, see `sentence_rouge` for the equation. `answer_only`, blank
    completions and abstaining are those of `bleu`. The standard tokeniser finds nothing in text outside a-z and
    0-9, so a reference in another script makes it abstain: give another `tokenizer` there.

    Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", ACL workshop 2004.
    """

    name = "rouge"

    def __init__(
        self, variant: str = "rougeL", tokenizer: str | Tokenizer = "alphanumeric", answer_only: bool = False
    ) -> None:
        super().__init__(answer_only, variant=variant, tokenizer=tokenizer)

    def compare(self, text: str, references: list[str]) -> float:
        return sentence_rouge(text, references, **self.options)


@register("chrf", example="{reward: chrf, word_order: 2}")
class Chrf(_Overlap):
    """Character n-gram F-score of the completion against its best reference, in [0, 1].

    See `sentence_chrf` for the equation and the options; `word_order=2` is chrF++. `answer_only`, blank
    completions and abstaining are those of `bleu`.

    Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015.
    """

    name = "chrf"

    def __init__(
        self,
        char_order: int = 6,
        word_order: int = 0,
        beta: float = 2.0,
        lowercase: bool = False,
        whitespace: bool = False,
        eps_smoothing: bool = False,
        answer_only: bool = False,
    ) -> None:
        super().__init__(
            answer_only,
            char_order=char_order,
            word_order=word_order,
            beta=beta,
            lowercase=lowercase,
            whitespace=whitespace,
            eps_smoothing=eps_smoothing,
        )

    def compare(self, text: str, references: list[str]) -> float:
        return sentence_chrf(text, references, **self.options)


@register("bleu_rouge", example="{reward: bleu_rouge}")
class BleuRouge(_Overlap):
    """Harmonic mean of BLEU and ROUGE-L, in [0, 1].

        R = 2 B L / (B + L), 0 where both are 0         B, L: `bleu` and `rouge` with their defaults

    `answer_only`, blank completions and abstaining are those of `bleu`; it also abstains where ROUGE finds no
    token in the reference.

    Chang et al., "BLEUBERI", arXiv 2505.11080, repository lilakk/BLEUBERI.
    """

    name = "bleu_rouge"

    def __init__(self, answer_only: bool = False) -> None:
        super().__init__(answer_only)

    def compare(self, text: str, references: list[str]) -> float:
        bleu, rouge = sentence_bleu(text, references), sentence_rouge(text, references)
        return 2 * bleu * rouge / (bleu + rouge) if bleu + rouge else 0.0
