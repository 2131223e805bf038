"""What of a model means something else than its author may think, though it is computed as written.

Each is noted, and written into the model in today's form, so that who reads that form knows.
"""

from bidsapp.inputs.model_notes import Notes

# One condition is an effect, two are a sum.
FEWEST_SUMMED = 2


def state_meanings(nodes: list, notes: Notes) -> None:
    """Note sums of conditions, and the type glm where fixed effects are computed.

    Parameters
    ----------
    nodes : list of dict
        Those of a model in today's form.
    """
    for node in nodes:
        _state_fixed_effects(node, notes)
        rules = node.get("Contrasts")
        for rule in rules if isinstance(rules, list) else ():
            if isinstance(rule, dict) and _is_sum(rule):
                _state_sum(node, rule, notes)


def _state_fixed_effects(node, notes):
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


def _state_sum(node, rule, notes):
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


def _is_sum(rule):
    """Whether a t contrast adds up conditions: a weight of 1 for each of several."""
    conditions, weights = rule.get("ConditionList"), rule.get("Weights")
    if not isinstance(conditions, list) or not isinstance(weights, list):
        return False
    row = weights[0] if len(weights) == 1 and isinstance(weights[0], list) else weights
    ones = all(str(weight) in ("1", "1.0") for weight in row)
    return rule.get("Test") != "F" and len(row) == len(conditions) >= FEWEST_SUMMED and ones
