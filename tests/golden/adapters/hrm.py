"""HRM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.models.step_examples import chain_examples
from guerdon.models.step_tree import StepTree, compress_node
from guerdon.models.tree_labels import soft_labels
from guerdon.steer.select import best_of_n

from .registry import adapter


@adapter("soft_node_label_correct_leaves_all_leaves")
def labels(inputs: Mapping[str, Any]) -> dict[str, float]:
    return _labels(StepTree.from_nested(inputs["tree"], text="name"))


@adapter("training_examples_labelled_step_chain_every")
def examples(inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"previous": list(one.previous), "current": list(one.current), "label": one.label}
        for one in chain_examples(inputs["steps"], inputs["labels"])
    ]


@adapter("node_compression_chosen_child_removed_parent")
def compression(inputs: Mapping[str, Any]) -> dict[str, Any]:
    tree = StepTree.from_nested(inputs["tree"], text="name")
    path = tuple(inputs["path"])
    node = next(i for i in range(len(tree)) if tree.steps(i) == path)
    found = compress_node(tree, node, separator="+")
    return {"tree": _nested(found), "labels": _labels(found)}


@adapter("greedy_step_search_index_highest_scoring")
def greedy(inputs: Mapping[str, Any]) -> int:
    return best_of_n(inputs["scores"])


def _labels(tree: StepTree) -> dict[str, float]:
    found = soft_labels(tree.parents, tree.correct)
    return {"/".join(tree.steps(i)): float(found[i]) for i in range(1, len(tree))}


def _nested(tree: StepTree) -> dict[str, Any]:
    nodes = [
        {"name": name} if correct is None else {"name": name, "correct": correct}
        for name, correct in zip(tree.texts, tree.correct, strict=True)
    ]
    for node, parent in zip(nodes, tree.parents, strict=True):
        if parent is not None:
            nodes[parent].setdefault("children", []).append(node)
    return nodes[0]
