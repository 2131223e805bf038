"""The anatomical image of a run, to draw its maps on where they are not in MNI space."""

# A preprocessed T1w without a space in its name is in its own: that of images called space-T1w.
T1W = ("anat/*_desc-preproc_T1w.nii*", "ses-*/anat/*_desc-preproc_T1w.nii*")
REFERENCES = ("_boldref", "_desc-preproc_boldref", "_desc-coreg_boldref")


def find_anatomy(run):
    """Return the path of the T1w image or else the BOLD reference in the space of a run, or None.

    Parameters
    ----------
    run : Run
    """
    subject = f"sub-{run.entities['sub']}"
    root = next((parent for parent in run.bold.parents if parent.name == subject), None)
    if run.entities.get("space") == "T1w" and root is not None:
        found = [path for pattern in T1W for path in sorted(root.glob(pattern)) if "_space-" not in path.name]
        if found:
            return found[0]
    stem = run.bold.name.split("_desc-preproc_bold")[0]
    beside = (run.bold.with_name(f"{stem}{name}.nii{end}") for name in REFERENCES for end in (".gz", ""))
    return next((path for path in beside if path.is_file()), None)
