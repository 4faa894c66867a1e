"""The ledger: every claim of the paper and its follow-up as a small declared test, with controls and a verdict."""
