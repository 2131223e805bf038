"""Read participants.tsv and phenotype tables."""

from pathlib import Path


def find_participants(*roots):
    """Return the participants.tsv of the first folder that has one, or None."""
    for root in roots:
        path = Path(root) / "participants.tsv"
        if path.is_file():
            return path
    return None
