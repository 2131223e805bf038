"""What both stages write for the whole output folder."""

import logging
from pathlib import Path

from bidsapp import names
from bidsapp.outputs.files import write_text
from bidsapp.outputs.sidecars import write_dataset_description
from bidsapp.plan.explain import explain_model
from bidsapp.records.plan import GroupPlan, ParticipantPlan

logger = logging.getLogger(__name__)


def prepare_output(plan: ParticipantPlan | GroupPlan, output_dir: Path) -> None:
    """Write what the whole output folder shares: its description, and the models with a page on each."""
    write_dataset_description(output_dir, plan.links)
    pages = {names.model_path(model.name): model.text for model in plan.documents}
    pages |= {names.model_readme_path(model.name): explain_model(model) for model in plan.documents}
    for name, text in pages.items():
        path = output_dir / name
        before = path.read_text(encoding="utf-8") if path.exists() else text
        if before != text and path.suffix == ".json":
            logger.warning(
                "the model in %s was another one: participants that are not analysed again keep the results "
                "of that model. Give each job the same flags, or use another output folder.",
                name,
            )
        if before != text or not path.exists():
            write_text(path, text)
