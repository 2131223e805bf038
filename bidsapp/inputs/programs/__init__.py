"""Results of other programs, a file each: where their maps are, what is in them, whose they are."""

from bidsapp.inputs.programs.afni import AFNI
from bidsapp.inputs.programs.feat import FEAT
from bidsapp.inputs.programs.fitlins import FITLINS
from bidsapp.inputs.programs.found import Program
from bidsapp.inputs.programs.spm import SPM

PROGRAMS: dict[str, Program] = {"feat": FEAT, "spm": SPM, "afni": AFNI, "fitlins": FITLINS}
