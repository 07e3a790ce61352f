"""Token hidden reward of a group, measured with the policy that wrote it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from guerdon.core.checks import check_number
from guerdon.core.context import Context
from guerdon.core.extras import need
from guerdon.core.guarded import explain
from guerdon.core.registry import create, register
from guerdon.core.reward import Reward, leaves
from guerdon.core.samples import Chat
from guerdon.core.signal import Failure, Score, Value
from guerdon.credit.hidden_reward import prediction_errors, token_hidden_reward
from guerdon.models.completion_log_probs import TokenRow
from guerdon.models.hidden_states import CausalStates
from guerdon.models.log_probs import LogProbs
from guerdon.models.source import LogProbReward


@register("token_hidden_reward", example="{reward: token_hidden_reward, correct: math}")
class TokenHiddenReward(LogProbReward):
    """Correctness, and beside it how far training on each token moves the likelihood of the group's correct responses.

        outcome_j     = that of `correct`
        dense_{j,k'}  = THR_{j,k'}        `credit.token_hidden_reward` over the group; 0 for tokens of tools

    Hidden states and prediction errors are those of the policy that wrote the samples, over the tokens that occur in the
    responses of the group. The dense channel is no reward to add up: the estimator `credit: token_hidden_reward` selects
    and weighs tokens by it, and takes advantages from the outcome alone. In a group without a correct response all
    values are 0.

    `correct`: a reward, or the registered name of one. It is scored in this process, once a group, and a response is
    correct where its outcome is above `threshold`; a dense channel of its own isn't kept. Its outcomes are a part of the
    Signal. · `model`: as with every reward that asks a model, by default the live policy of the context; the model
    must be in this process.

    Values are unbounded and grow with the norms of the hidden states. Tokens are `extra["completion_ids"]` where the
    sample has them, as in training. A sample for which `correct` abstains or fails does the same here, and one that
    can't be encoded fails; both are left out of the group. Without a source of hidden states the group fails. Raises
    `ValueError` for a `threshold` that isn't finite.

    Wenlong Deng et al., "Token Hidden Reward: Steering Exploration-Exploitation in Group Relative Deep Reinforcement
    Learning", arXiv 2510.03669; no code is known.
    """

    name = "token_hidden_reward"
    scope = "group"

    def __init__(
        self, correct: Reward | str, model: str | LogProbs | None = None, *, threshold: float = 0.0
    ) -> None:
        super().__init__(model)
        self.threshold = check_number(threshold, "threshold")
        self.correct: Reward = create(correct) if isinstance(correct, str) else correct
        self.uses_context = model is None or any(leaf.uses_context for leaf in leaves(self.correct))

    def prepare(self) -> None:
        super().prepare()
        for leaf in leaves(self.correct):
            leaf.prepare()

    def score_group(self, samples: Sequence[Chat], context: Context) -> Sequence[Value]:
        states = CausalStates.of(self.source(context))
        signal = self.correct(samples, context)
        values = [signal.value(i) for i in range(len(samples))]
        rows = dict[int, TokenRow]()
        for i in np.flatnonzero(signal.ok).tolist():
            try:
                rows[i] = states.tokens(samples[i])
            except Exception as error:  # a sample that can't be encoded fails alone, not with its group
                values[i] = Failure(explain(error))
        right = signal.outcome[list(rows)] > self.threshold
        for i, dense in zip(rows, hidden_rewards(states, list(rows.values()), right), strict=True):
            outcome = float(signal.outcome[i])
            values[i] = Score(outcome, dense=dense, unit="token", parts={self.correct.name: outcome})
        return values


def hidden_rewards(
    states: CausalStates, rows: Sequence[TokenRow], correct: NDArray[np.bool_]
) -> list[NDArray[np.float64]]:
    """Token hidden reward of one group: (T_i,) for each row, 0 for tokens that the assistant didn't write.

    `correct` (n,): which responses are. The vocabulary is cut to the tokens that the assistant wrote in the group.
    """
    torch = need("torch", "train")
    counts = [int(row.written.sum()) for row in rows]
    if not sum(counts):
        return [np.zeros(row.written.size) for row in rows]
    chosen = np.concatenate([np.asarray(row.ids[row.first :], dtype=np.int64)[row.written] for row in rows])
    vocabulary, tokens = np.unique(chosen, return_inverse=True)
    hidden, probabilities = list[object](), list[object]()
    for row, found in zip(rows, states(rows, vocabulary), strict=True):
        written = torch.from_numpy(row.written).to(found.hidden.device)
        hidden.append(found.hidden[written])
        probabilities.append(found.probabilities[written])
    offsets = np.cumsum([0, *counts])
    errors = prediction_errors(torch.cat(probabilities), tokens)
    reward = token_hidden_reward(torch.cat(hidden), errors, offsets, correct).cpu().numpy()
    dense = [np.zeros(row.written.size) for row in rows]
    for i, row in enumerate(rows):
        dense[i][row.written] = reward[offsets[i] : offsets[i + 1]]
    return dense
