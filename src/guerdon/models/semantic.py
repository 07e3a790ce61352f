"""Likeness of meaning as a reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

from guerdon.core.checks import check_choice
from guerdon.core.context import Context
from guerdon.core.guarded import explain
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Failure, Score, Signal, Value
from guerdon.core.tagged import last
from guerdon.models.embedding import cosine_similarity
from guerdon.models.encoder import Pooling, check_encoder_options, shared_encoder
from guerdon.verify.overlap import reference_texts

Untagged: TypeAlias = Literal["zero", "whole"]


@register("semantic_similarity", example="{reward: semantic_similarity, tag: explanation}")
class SemanticSimilarity(Reward):
    """Cosine of the embeddings of a completion and its reference, in [−1, 1].

        R = max_k cos(E(y), E(r_k))

    E: a frozen `TextEncoder`, see there for `model`, `pooling`, `max_tokens`, `batch_size` and `device`. y
    is what the last block of `tag` in the last assistant turn holds, or all of that turn without `tag`.
    Where the block is missing R is 0 (`untagged="zero"`) or y is the whole turn (`untagged="whole"`). The
    reference is a text or a list of texts. A blank y or reference has the zero vector, so R is 0.

    `Signal.parts["truncated"]` is 1 where the end of y was not read, since it is longer than the encoder
    takes.

    What the number is worth: texts on one topic lie at about 0.3 to 1, so in a sum with rewards of 0 and 1
    its spread is small, see `normalized_sum`; a text and its negation are almost equal, so give correctness
    a part of its own; and generic or copied wording scores well. `| clip` keeps it in [0, 1].

    Abstains where the reference is missing or isn't text. The samples of a call are encoded together, in this
    process and not in workers. Raises `ValueError` for an unknown `untagged` or an option that the encoder
    doesn't take.

    "Shaping Explanations: Semantic Reward Modeling with Encoder-Only Transformers for GRPO", arXiv 2509.13081
    (pooling, range and the value of a missing explanation are inferred; no code is known). With
    `untagged="whole"` and `| clip` it is the surrogate for open tasks of "Beyond Monolithic Rewards", arXiv
    2510.05283.
    """

    name = "semantic_similarity"
    isolate = False
    uses_context = False

    def __init__(
        self,
        model: str | None = None,
        *,
        tag: str | None = None,
        untagged: Untagged = "zero",
        pooling: Pooling = "mean",
        max_tokens: int | None = None,
        batch_size: int = 32,
        device: str | None = None,
    ) -> None:
        if tag is not None and not tag:
            raise ValueError("tag: expected the name of a tag, got empty text")
        check_choice(untagged, "untagged", get_args(Untagged))
        check_encoder_options(pooling, max_tokens, batch_size)
        self.model, self.tag, self.max_tokens = model, tag, max_tokens
        self.batch_size, self.device = batch_size, device
        self.untagged: Untagged = untagged
        self.pooling: Pooling = pooling

    def prepare(self) -> None:
        self._encoder()

    def score(self, sample: Chat, context: Context) -> Value:
        return self.score_batch([sample], context).value(0)

    def score_batch(self, samples: Sequence[Chat], context: Context) -> Signal:
        values: list[Value] = [None] * len(samples)
        pairs = dict[int, tuple[str, list[str]]]()
        for i, sample in enumerate(samples):
            try:
                pairs[i] = self._text(sample), reference_texts(sample.reference)
            except Abstain as abstention:
                values[i] = abstention
            except Exception as error:  # a sample that has no text fails alone, not with its batch
                values[i] = Failure(explain(error))
        texts = [text for chosen, references in pairs.values() for text in (chosen, *references)]
        encoded = self._encoder().encode(texts) if texts else None
        start = 0
        for i, (_, references) in pairs.items():
            assert encoded is not None
            end = start + 1 + len(references)
            best = float(cosine_similarity(encoded.vectors[start], encoded.vectors[start + 1 : end]).max())
            values[i] = Score(best, parts={"truncated": float(encoded.truncated[start])})
            start = end
        return Signal.from_values(values)

    def _text(self, sample: Chat) -> str:
        text = sample.final
        if self.tag is None:
            return text
        block = last(text, self.tag)
        if block is None:
            return text if self.untagged == "whole" else ""
        return block.inner(text)

    def _encoder(self) -> Any:
        return shared_encoder(self.model, self.pooling, self.max_tokens, self.batch_size, self.device)
