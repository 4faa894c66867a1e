"""Errors that a person caused and a person can mend."""

import re

from layergrad.contracts.secrets import without_secrets

_LINE_ENDS = re.compile(r"\s*[\t-\r\x1c-\x1e\x85\u2028\u2029]\s*")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class UserError(Exception):
    """Bad input, told in one line: what was wrong, where, and what is allowed. The command line exits with 2.

    What a message quotes may be anyone's: line ends in it become spaces, other control characters are escaped, and
    passwords and tokens are not told.
    """

    def __init__(self, message: str) -> None:
        line = _LINE_ENDS.sub(" ", without_secrets(message))
        super().__init__(_CONTROLS.sub(lambda found: ascii(found[0])[1:-1], line))
