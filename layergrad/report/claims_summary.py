"""The ledger of claims in a few sentences, made from its verdicts alone."""

from typing import Any

import pandas as pd

from layergrad.report.words import counted, listing

FATES = {
    "supported": "supported",
    "refuted": "refuted",
    "inconclusive": "inconclusive",
    "not evaluable": "not evaluable here",
    "descriptive": "described without a verdict",
}


def summary(overall: pd.DataFrame, controls: list[dict[str, Any]], claims: list[str]) -> list[str]:
    """What becomes of the ``claims`` over all models, then with each control, then with all of them."""
    verdicts = {name: rows.set_index("claim")["verdict"].to_dict() for name, rows in overall.groupby("control")}
    plain = {claim: verdicts.get("none", {}).get(claim, "not evaluable") for claim in claims}
    told = [_first(plain)]
    fates: dict[str, list[str]] = {claim: [] for claim in claims if plain[claim] == "supported"}
    for control in controls:
        if control["control"] == "none":
            continue
        found = {
            claim: verdict for claim, verdict in verdicts[control["control"]].items() if verdict != "not evaluable"
        }
        tested = {claim: found[claim] for claim in fates if claim in found}
        for claim, verdict in tested.items():
            fates[claim].append(verdict)
        if tested:
            title = control["title"]
            told.append(f"{title[:1].upper()}{title[1:]}: {_with_control(tested)}")
    return [*told, _last({claim: met for claim, met in fates.items() if met})] if len(told) > 1 else told


def _first(plain: dict[str, str]) -> str:
    parts = []
    for verdict, fate in FATES.items():
        of = [claim for claim, given in plain.items() if given == verdict]
        if of:
            parts.append(f"{len(of)} {'is' if len(of) == 1 else 'are'} {fate} ({', '.join(of)})")
    return f"As measured, of {counted(len(plain), 'claim')}, {listing(parts)}."


def _with_control(tested: dict[str, str]) -> str:
    """What becomes of supported claims with one control."""
    parts = []
    for verdict in ("supported", "inconclusive", "refuted"):
        of = [claim for claim, given in tested.items() if given == verdict]
        if of:
            word = "stay" if verdict == "supported" else "become"
            parts.append(f"{len(of)} {word}{'s' if len(of) == 1 else ''} {verdict} ({', '.join(of)})")
    return f"of the {counted(len(tested), 'supported claim')} that could be tested with it, {listing(parts)}."


def _last(fates: dict[str, list[str]]) -> str:
    """How many of the supported claims are so whatever is taken away."""
    kept = [claim for claim, met in fates.items() if set(met) == {"supported"}]
    which = f" ({', '.join(kept)})" if kept else ""
    return (
        f"Of the {counted(len(fates), 'supported claim')} that could be tested with any control, "
        f"{len(kept)} {'is' if len(kept) == 1 else 'are'} supported with each of them{which}."
    )
