"""Words of others on a terminal: labels, titles and answers that anybody may have written."""


def tame(text: str) -> str:
    """Leave out what a terminal would obey or can't show; lines stay."""
    return "".join(each for each in text if each.isprintable() or each == "\n")
