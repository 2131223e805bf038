"""The canonical basis against SPM12's own, as far as nilearn's kernel goes (it is one sample later)."""

from pathlib import Path

import numpy as np

from bidsapp.design.convolution import convolve_variable
from bidsapp.design.transformers.variables import Namespace, Variable

TABLES = Path(__file__).parents[1] / "reference" / "tables"
# Correlation of nilearn's kernel with SPM12's.
KERNEL_CORRELATION = 0.9992
# SPM's file: 32 s at microtime resolution.
SPAN_SECONDS = 32.0


def test_response_to_an_impulse_is_spms_canonical_one():
    spm = np.loadtxt(TABLES / "spm_hrf.csv")
    step = SPAN_SECONDS / (len(spm) - 1)
    times = np.arange(len(spm)) * step
    event = Variable("a", np.array([1.0]), np.array([0.0]), np.array([0.0]))
    made = convolve_variable(event, "a", "spm", (), Namespace({}, times))["a"].values
    assert np.corrcoef(made, spm)[0, 1] >= KERNEL_CORRELATION
