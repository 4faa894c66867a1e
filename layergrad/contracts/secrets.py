"""Passwords and tokens stay out of all that is told or kept: error lines, logs, provenance."""

import os
import re
from typing import Any

HIDDEN = "***"
_NAMES = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|PRIVATE_KEY)$", re.IGNORECASE)
_SHORTEST = 8
"""Characters from which on the value of such a variable is a secret; a shorter one may be any word."""

_IN_ADDRESS = re.compile(r"(?<=://)[^/\s\"'@]+(?=@)")
_IN_QUERY = re.compile(r"(?i)(?<=[?&])([\w.-]*(?:token|secret|passw|signature|sig|key|credential)[\w.-]*=)[^&\s\"'#]+")
_TOKENS = re.compile(r"\b(hf|gh[oprsu]|github_pat|glpat|pypi)[_-]\w{16,}")
"""As the Hugging Face hub, GitHub, GitLab and PyPI give them out."""


def without_secrets(text: str) -> str:
    """The text with stars for passwords and tokens of addresses, and for what variables such as ``HF_TOKEN`` hold."""
    for name, value in os.environ.items():
        if _NAMES.search(name) and len(value) >= _SHORTEST:
            text = text.replace(value, HIDDEN)
    text = _IN_ADDRESS.sub(HIDDEN, text)
    text = _IN_QUERY.sub(rf"\g<1>{HIDDEN}", text)
    return _TOKENS.sub(HIDDEN, text)


def hide_secrets(value: Any) -> Any:
    """The same for every text in lists and mappings."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, list | tuple):
        return [hide_secrets(element) for element in value]
    if isinstance(value, dict):
        return {hide_secrets(key): hide_secrets(element) for key, element in value.items()}
    return value
