"""What of a model means something else than its author may think, though it is computed as written."""

from bidsapp.model_records import ContrastRule, Model, Node

# One condition is an effect, two are a sum.
FEWEST_SUMMED = 2


def remark_on(model: Model) -> list[str]:
    """Return notes on sums of conditions, and on the type glm where fixed effects are computed."""
    notes = []
    for node in model.nodes:
        if _is_fixed_by_default(node):
            notes.append(
                f"{node.name}: Type 'glm' of a {node.level} node is computed as fixed effects over its "
                "inputs; SubjectLevel 'ols' in Software.TaskGLM asks for least squares"
            )
        notes += [
            f"{node.name}: contrast {rule.name!r} sums {len(rule.conditions)} conditions; weights of "
            f"1/{len(rule.conditions)} make their mean"
            for rule in node.contrasts
            if _is_sum(rule)
        ]
    return notes


def _is_fixed_by_default(node: Node) -> bool:
    middle = node.level in ("Session", "Subject")
    return middle and node.type == "glm" and "SubjectLevel" not in node.software.get("TaskGLM", {})


def _is_sum(rule: ContrastRule) -> bool:
    """Whether a t contrast adds up conditions: a weight of 1 for each of several."""
    weights = rule.weights[0] if len(rule.weights) == 1 else ()
    return rule.test != "F" and len(weights) >= FEWEST_SUMMED and set(weights) == {1.0}
