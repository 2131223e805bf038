"""Files whose content is elsewhere: links and pointers of git-annex (DataLad)."""

from pathlib import Path

from bidsapp.errors import EXIT_NO_INPUT, InputError

# How a pointer that stands for a file begins; it is shorter than any image.
POINTER = b"/annex/objects/"
LONGEST_POINTER = 4096


def is_named(path: Path | str) -> bool:
    """Whether there is a file, or at least its name: a link to content that was not fetched."""
    path = Path(path)
    return path.is_file() or (path.is_symlink() and not path.exists())


def check_fetched(path: Path | str) -> None:
    """Raise InputError where a file is there by name only; a file that is missing altogether is not told."""
    path = Path(path)
    if path.is_symlink() and not path.exists():
        raise InputError(
            f"{path} is a link to content that is not here. Fetch it: datalad get {path} (or git annex get).",
            exit_code=EXIT_NO_INPUT,
        )
    if not path.is_file():
        return
    size = path.stat().st_size
    if size == 0 and path.suffix in (".gz", ".nii"):
        raise InputError(
            f"{path} is empty (0 bytes). Fetch its content (datalad get, git annex get), or make it again."
        )
    if size <= LONGEST_POINTER:
        with path.open("rb") as file:
            if file.read(len(POINTER)) == POINTER:
                raise InputError(
                    f"{path} is a pointer to content that is not here. Fetch it: datalad get {path} "
                    "(or git annex get).",
                    exit_code=EXIT_NO_INPUT,
                )
