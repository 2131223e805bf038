"""Parts of model documents that tests share."""


def factor_and_convolve():
    """Return the transformations that nearly every model of a run begins with."""
    return {
        "Transformer": "pybids-transforms-v1",
        "Instructions": [
            {"Name": "Factor", "Input": ["trial_type"]},
            {"Name": "Convolve", "Input": ["trial_type.*"], "Model": "spm"},
        ],
    }
