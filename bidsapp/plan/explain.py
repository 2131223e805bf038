"""A model in words: the page that stands beside its file."""

from bidsapp.plan.group.within import subject_contrasts
from bidsapp.records.model import INTERCEPT, Model, Node


def explain_model(model: Model) -> str:
    """Return a page in Markdown that explains a model part by part, to stand beside its file."""
    lines = [f"# The model {model.name!r}", "", model.description or "Made by TaskGLM.", ""]
    lines += [
        "Change a copy of the JSON file and give it with `--model`; `python -m bidsapp.model check FILE`",
        "names every fault with its line. TaskGLM's `docs/models/README.md` explains how to write models.",
    ]
    if model.notes:
        lines += ["", "## How it was read", "", *(f"- {note}" for note in model.notes)]
    for node in model.nodes:
        lines += ["", f"## {node.level} level: {node.name}", "", *_explain_node(node)]
    return "\n".join(lines) + "\n"


def _explain_node(node: Node) -> list[str]:
    lines = [f"- One model for each combination of {', '.join(node.group_by) or 'everything'} (`GroupBy`)."]
    for step in node.transformations:
        lines.append(f"- `{step.name}` of {', '.join(step.arguments['Input'])}.")
    columns = ["1 (the intercept)" if name == INTERCEPT else f"`{name}`" for name in node.x]
    lines.append(f"- Columns (`X`): {', '.join(columns)}.")
    if node.options.high_pass_hz:
        period = 1 / node.options.high_pass_hz
        lines.append(
            f"- High-pass filter at {node.options.high_pass_hz:.4g} Hz (a period of {period:.4g} s)."
        )
    for rule in node.contrasts:
        rows = [zip(row, rule.conditions, strict=True) for row in rule.weights]
        shown = ["".join(f" {w:+g} `{name}`" for w, name in row if w).strip() for row in rows]
        lines.append(f"- {rule.test} test `{rule.name}`: {'; '.join(shown)}.")
    for name, within in subject_contrasts(node).items():
        lines.append(
            f"- {within.test} test `{name}` within subjects, of what each has in: {within.in_words}."
        )
    if node.dummy:
        lines.append(f"- A {node.dummy.test} test of every column: what comes in keeps its name.")
    return lines
