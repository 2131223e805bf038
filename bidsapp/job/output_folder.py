"""What both stages write for the whole output folder."""

import logging
from pathlib import Path

from bidsapp import names
from bidsapp.errors import EXIT_CANNOT_CREATE, InputError
from bidsapp.outputs.files import write_text
from bidsapp.outputs.sidecars import write_dataset_description
from bidsapp.plan.explain import explain_model
from bidsapp.records.plan import GroupPlan, ParticipantPlan

logger = logging.getLogger(__name__)


def _check_places(plan: ParticipantPlan | GroupPlan, output_dir: Path) -> None:
    """Raise where something else is in the place of what will be written, or leads out of the folder."""
    if isinstance(plan, ParticipantPlan):
        labels = [subject.subject for subject in plan.subjects]
        records = [names.record_path(label) for label in labels]
        folders = [names.top_folder({"sub": label}) for label in labels]
    else:
        records = [names.group_record_path(model.entities, model.node) for model in plan.models]
        folders = [names.top_folder({})]
    root = output_dir.resolve()
    for folder in map(output_dir.joinpath, [*{str(Path(record).parent) for record in records}, *folders]):
        if folder.exists() and not folder.is_dir():
            raise _in_the_way(f"{folder} is a file, and a folder of this name is needed")
        if not folder.resolve().is_relative_to(root):
            raise _in_the_way(f"{folder} is a link that leads out of the output folder")
    for record in map(output_dir.joinpath, records):
        if record.is_dir():
            raise _in_the_way(f"{record} is a folder, and a file of this name is needed")


def _in_the_way(fault: str) -> InputError:
    return InputError(f"{fault}. Move it away, or use another output folder.", exit_code=EXIT_CANNOT_CREATE)


def prepare_output(plan: ParticipantPlan | GroupPlan, output_dir: Path) -> None:
    """Write what the whole output folder shares: its description, and the models with a page on each."""
    _check_places(plan, output_dir)
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
