"""Recipes: a reward written down as YAML, and back.

    name: tool-use
    parts:
      format: {reward: tags, tags: [think, answer]}
      correct: math
    weights: {format: 0.2, correct: 1.0}

`parts` are named leaves; a name that is used twice is scored once. Then either `weights` (a weighted sum of parts) or
`total`, an expression: a part's name, a registered reward, or one of

    {sum: [A, B], weights: [0.2, 1.0], bias: 0.0}      {product: [A, B]}
    {minimum: [A, B]}                                  {maximum: [A, B]}
    {gate: A, by: B, threshold: 0.0, otherwise: 0.0}   {when: PREDICATE, then: A}
    {pipe: [A, TRANSFORM, …]}                          each may add `name: …`

A registered reward is its name, or `{reward: NAME, argument: value, …}`, where `reference: KEY` makes it read its
reference from that extra column, unless the reward itself has an argument of that name; a transform is `{transform: NAME, …}`, a
predicate `{predicate: NAME, …}`. Code that isn't registered is only imported from `{python: "module:attribute"}` where
the caller trusts the recipe. Other top-level sections (`train`, `data`) belong to the commands that read them.
"""

from guerdon.core.recipe.load import load_reward, shipped_recipe
from guerdon.core.recipe.text import RecipeError, read_yaml
from guerdon.core.recipe.writer import describe, dump_recipe

__all__ = ["RecipeError", "describe", "dump_recipe", "load_reward", "read_yaml", "shipped_recipe"]
