"""The one error that a user can act on."""


class UserError(ValueError):
    """One line: what is wrong, what was found, what would be right.

    The tools print it without a traceback and end with exit code 2; every other exception is a bug of ours and keeps
    its traceback.
    """
