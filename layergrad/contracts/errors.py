"""Errors that a person caused and a person can mend."""


class UserError(Exception):
    """Bad input, told in one line: what was wrong, where, and what is allowed. The command line exits with 2."""
