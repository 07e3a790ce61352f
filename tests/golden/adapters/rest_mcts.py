"""ReST-MCTS*."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guerdon.models.tree_labels import tree_value_targets
from guerdon.steer import Node, back_propagate, distance_values, rollout_update, uct_scores

from .registry import adapter


@adapter("back_propagation_node_root_visits_1_expanded")
def back_propagation(inputs: Mapping[str, Any]) -> dict[str, list[float]]:
    nodes, places = list[Node](), dict[str, int]()

    def enter(node: Mapping[str, Any], path: str, parent: int | None) -> int:
        place = places[path] = len(nodes)
        nodes.append(Node((path,), node["V"], node["visits"], parent))
        for child in node.get("children", ()):
            nodes[place].children.append(enter(child, f"{path}/{child['name']}", place))
        return place

    enter(inputs["tree"], "root", None)
    back_propagate(nodes, places["/".join(["root", *inputs["path"]])])
    return {path: [nodes[place].value, nodes[place].visits] for path, place in places.items()}


@adapter("uct_score_each_child_v_visits_v_c_sqrt_2_ln")
def uct(inputs: Mapping[str, Any]) -> Any:
    values, visits = zip(*inputs["children"], strict=True)
    return uct_scores(
        values,
        visits,
        inputs["parent_visits"],
        exploration=inputs["c"],
        unvisited=inputs["inf_bonus"],
    )


@adapter("per_step_value_recursion_v_k_max_0_v_k_1_w_k")
def value_recursion(inputs: Mapping[str, Any]) -> Any:
    pairs = inputs["m_and_sign"]
    return distance_values([m for m, _ in pairs], [(1 - sign) / 2 for _, sign in pairs])


@adapter("rollout_update_v_1_alpha_v_alpha_best_v")
def rollout(inputs: Mapping[str, Any]) -> float:
    return rollout_update(inputs["V"], inputs["best_V"], inputs["alpha"])


@adapter("value_targets_finished_search_tree_leaf_hard")
def value_targets(inputs: Mapping[str, Any]) -> dict[str, float]:
    parents, correct, paths = list[int | None](), list[bool | None](), list[str]()

    def enter(node: Mapping[str, Any], path: str, parent: int | None) -> None:
        place = len(paths)
        parents.append(parent)
        correct.append(node.get("correct"))
        paths.append(path)
        for child in node.get("children", ()):
            enter(child, f"{path}/{child['name']}".lstrip("/"), place)

    enter(inputs["tree"], "", None)
    values = tree_value_targets(parents, correct)
    return {path: float(v) for path, v in zip(paths[1:], values[1:], strict=True) if v == v}
