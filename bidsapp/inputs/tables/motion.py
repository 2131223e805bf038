"""Head motion of a run, for its report, whether the model uses it or not."""

from pathlib import Path

import numpy as np

from bidsapp.inputs.tables.confounds import read_numbers
from bidsapp.inputs.tables.read import read_header

COLUMNS = ("framewise_displacement", "trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
# Names of fMRIPrep before version 1.4.
OLD_NAMES = {"FramewiseDisplacement": "framewise_displacement"} | {
    old: new for old, new in zip(("X", "Y", "Z", "RotX", "RotY", "RotZ"), COLUMNS[1:], strict=True)
}


def read_motion(path: Path | None) -> dict[str, list[float | None]]:
    """Return the motion columns of a confounds file as lists by today's names, None where n/a.

    Raises
    ------
    InputError
        A value that is no number.
    """
    if path is None:
        return {}
    wanted = [name for name in read_header(path) if OLD_NAMES.get(name, name) in COLUMNS]
    table = read_numbers(path, wanted)
    return {
        OLD_NAMES.get(name, name): [None if np.isnan(value) else value for value in table[name].tolist()]
        for name in wanted
    }
