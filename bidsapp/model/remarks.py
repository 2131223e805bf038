"""What of a model means something else than its author may think, though it is computed as written.

Each is noted, and written into the model in today's form, so that who reads that form knows.
"""

from collections import Counter

from bidsapp.model.notes import Notes
from bidsapp.model.text import list_at, objects
from bidsapp.records.documents import Document
from bidsapp.records.model import NO_NAMES

# One condition is an effect, two are a sum.
FEWEST_SUMMED = 2


def state_meanings(nodes: list[Document], notes: Notes) -> None:
    """Note sums of conditions, names on the intercept, and the type glm where fixed effects are computed.

    Parameters
    ----------
    nodes : list of dict
        Those of a model in today's form.
    """
    rules = [(node, rule) for node in nodes for rule in objects(node.get("Contrasts"))]
    names = Counter(rule["Name"] for _, rule in rules if isinstance(rule.get("Name"), str))
    for node in nodes:
        _state_fixed_effects(node, notes)
    for node, rule in rules:
        if _is_sum(rule):
            _state_sum(node, rule, notes)
        # What has the name of an incoming contrast keeps it.
        if node.get("Level") != "Run" and _is_named_mean(rule) and names[rule["Name"]] == 1:
            _state_name(node, rule, notes)


def _state_fixed_effects(node: Document, notes: Notes) -> None:
    model = node.get("Model")
    if node.get("Level") not in ("Session", "Subject") or not isinstance(model, dict):
        return
    software = model.get("Software") or {}
    own = software.get("TaskGLM", {}) if isinstance(software, dict) else None
    if model.get("Type") != "glm" or not isinstance(own, dict) or "SubjectLevel" in own:
        return
    notes.append(
        f"{node.get('Name')}: Type 'glm' of a {node['Level']} node is computed as fixed effects over its "
        "inputs; SubjectLevel 'ols' in Software.TaskGLM asks for least squares",
        model,
        "Type",
    )
    model["Software"] = software | {"TaskGLM": own | {"SubjectLevel": "fixed"}}


def _state_name(node: Document, rule: Document, notes: Notes) -> None:
    """Say how the outputs of a contrast on the intercept are named: after what comes in, always."""
    name, description = rule["Name"], str(rule.get("Description") or "")
    joined = node["Level"] == "Dataset"
    remark = "named after what comes in, too" if joined else "what comes in keeps its name"
    if remark in description:
        return
    how = f"{remark} ('<contrast> {name}')" if joined else f"{remark}, and {name!r} names no output"
    notes.append(f"{node.get('Name')}: contrast {name!r} is on the intercept: {how}", rule, "Name")
    rule["Description"] = f"{description} ({remark})".strip()


def _is_named_mean(rule: Document) -> bool:
    """Whether a contrast is the mean of what comes in, with a name that says more than that."""
    weights, on_one = rule.get("Weights"), list(map(str, list_at(rule, "ConditionList"))) == ["1"]
    named = isinstance(rule.get("Name"), str) and rule["Name"] not in NO_NAMES
    return on_one and weights in ([1], [[1]], ["1"], [["1"]]) and rule.get("Test") != "F" and named


def _state_sum(node: Document, rule: Document, notes: Notes) -> None:
    n_conditions, description = len(rule["ConditionList"]), rule.get("Description") or ""
    if "sum" in str(description).lower():
        return
    notes.append(
        f"{node.get('Name')}: contrast {rule.get('Name')!r} sums {n_conditions} conditions; weights of "
        f"1/{n_conditions} make their mean",
        rule,
        "Weights",
    )
    rule["Description"] = f"{description} (the sum of {n_conditions} conditions)".strip()


def _is_sum(rule: Document) -> bool:
    """Whether a t contrast adds up conditions: a weight of 1 for each of several."""
    conditions, weights = list_at(rule, "ConditionList"), list_at(rule, "Weights")
    row = weights[0] if len(weights) == 1 and isinstance(weights[0], list) else weights
    ones = all(str(weight) in ("1", "1.0") for weight in row)
    return rule.get("Test") != "F" and len(row) == len(conditions) >= FEWEST_SUMMED and ones
