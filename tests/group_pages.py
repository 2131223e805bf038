"""The pages of a group."""


def read_group_pages(folder):
    """Return the text of the index of the group and of the pages of its models and contrasts."""
    paths = [folder / "group.html", *sorted(folder.glob("group/*_report.html"))]
    return "".join(path.read_text(encoding="utf-8") for path in paths)
