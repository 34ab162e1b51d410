"""The one exception for what a user can mend: a wrong setting, file, argument or address."""


class UserMistake(Exception):  # noqa: N818 - the name says whose it is; it is shown, never logged as an error of ours
    """Something the user gave is wrong; shown as one line, exit code 2, never as a traceback.

    Args:
        what: What is wrong, naming the file, key or value.
        mend: What to do about it.

    """

    def __init__(self, what: str, mend: str) -> None:
        """Keep both halves; the text of the exception is the line that is shown."""
        super().__init__(f"{what}. {mend}" if mend else what)
        self.what = what
        self.mend = mend
