"""The claims for people and programs: nested JSON, a LaTeX table, a summary in words, and verdicts to compare."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from layergrad.statistics.claims.controls import CONTROLS, NONE
from layergrad.statistics.claims.entry import Claim
from layergrad.statistics.claims.rows import COLUMNS, Row
from layergrad.statistics.claims.verdicts import NOT_EVALUABLE, VERDICTS

_OWN = ("claim", "control", "level")


def entries(ledger: tuple[Claim, ...]) -> list[dict[str, str]]:
    """What every claim says and how it is tested."""
    fields = ("title", "statement", "source", "statistic", "cells", "direction", "rule")
    return [{"claim": claim.name} | {name: getattr(claim, name) for name in fields} for claim in ledger]


def control_entries() -> list[dict[str, str]]:
    """What every control does."""
    return [{"control": c.name, "title": c.title, "statement": c.statement} for c in CONTROLS]


def nested(ledger: tuple[Claim, ...], rows: list[Row]) -> dict[str, Any]:
    """By claim and control: the study's row, those of its models by name, and a list of cells; null for no number."""
    found: dict[str, Any] = {claim.name: {"title": claim.title, "controls": {}} for claim in ledger}
    for row in rows:
        controls = found[row.claim]["controls"]
        if row.level == "overall":
            controls[row.control] = _plain(row) | {"models": {}, "cells": []}
        elif row.level == "model":
            controls[row.control]["models"][row.model] = _plain(row)
        else:
            controls[row.control]["cells"].append(_plain(row))
    return found


def _plain(row: Row) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in COLUMNS if name not in _OWN}
    return {
        name: (float(f"{value:.6g}") if np.isfinite(value) else None) if isinstance(value, float) else value
        for name, value in values.items()
        if value is not None
    }


def verdict_metrics(rows: list[Row]) -> dict[str, Any]:
    """The verdict by claim and control, and how often each was given without control."""
    total = [row for row in rows if row.level == "overall"]
    verdicts: dict[str, dict[str, str]] = {}
    for row in total:
        verdicts.setdefault(row.claim, {})[row.control] = row.verdict
    counts = Counter(row.verdict for row in total if row.control == NONE)
    return {"counts": {verdict: counts[verdict] for verdict in VERDICTS}, "verdicts": verdicts}


def latex(ledger: tuple[Claim, ...], rows: list[Row]) -> str:
    """A booktabs longtable of the claims by verdict, then by effect; needs those two packages, all text escaped."""
    total = {(row.claim, row.control): row for row in rows if row.level == "overall"}
    order = sorted(
        ledger, key=lambda c: (VERDICTS.index(total[c.name, NONE].verdict), -_size(total[c.name, NONE]), c.name)
    )
    table = [
        {
            "claim": claim.name,
            "what it says": claim.title,
            "verdict": total[claim.name, NONE].verdict,
            "effect": effect(total[claim.name, NONE]),
            "cells": str(total[claim.name, NONE].n or ""),
            "otherwise under": ", ".join(
                f"{control.title} ({row.verdict})"
                for control in CONTROLS
                if (row := total.get((claim.name, control.name))) and _differs(row, total[claim.name, NONE])
            ),
        }
        for claim in order
    ]
    return pd.DataFrame(table).to_latex(index=False, escape=True, longtable=True, column_format="lp{4cm}llrp{5cm}")


def _size(row: Row) -> float:
    return abs(row.estimate) if np.isfinite(row.estimate) else 0.0


def effect(row: Row) -> str:
    """The estimate of a row as people read it: a log ratio as a factor, anything else as it is."""
    if not np.isfinite(row.estimate):
        return ""
    return f"ratio {np.exp(row.estimate):.3g}" if row.unit == "log ratio" else f"{row.estimate:.3g} ({row.unit})"


def _differs(row: Row, without: Row) -> bool:
    return row.verdict not in (without.verdict, NOT_EVALUABLE)


def summary(ledger: tuple[Claim, ...], rows: list[Row], title: str) -> str:
    """Markdown: every claim with its verdict, the numbers behind it, and what the controls make of it."""
    total = {(row.claim, row.control): row for row in rows if row.level == "overall"}
    counts = verdict_metrics(rows)["counts"]
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    lines = [f"# Claims: {_escaped(title)}", "", f"Of {len(ledger)} claims: {told}.", ""]
    for claim in ledger:
        row = total[claim.name, NONE]
        lines += [f"## {claim.name}: {claim.title}", "", f"{claim.statement}", ""]
        lines += [f"**{row.verdict.capitalize()}**: {_escaped(_numbers(row))}.", ""]
        controlled = [
            f"- {control.title}: {now.verdict}, {_escaped(_numbers(now))}"
            for control in CONTROLS[1:]
            if (now := total.get((claim.name, control.name)))
        ]
        lines += [*controlled, ""] if controlled else []
    return "\n".join(lines).rstrip() + "\n"


def _numbers(row: Row) -> str:
    typical = f"typically {effect(row)}; " if effect(row) else ""
    return f"{typical}{row.reason}"


def _escaped(text: str) -> str:
    for mark in "\\|*_`[]<>":
        text = text.replace(mark, "\\" + mark)
    return text
