"""The tables for people: numbers as CSV, the same with sensible digits as Markdown, LaTeX and for the report."""

from pathlib import Path

import numpy as np
import pandas as pd

from layergrad.contracts.files import whole_file, write_text
from layergrad.contracts.paths import TABLES
from layergrad.contracts.tables import read_table
from layergrad.report.words import NONE, number

KEY = ["model", "task", "variant", "response"]
SEGMENTS = ("early", "mid", "last", "all")
SECOND_HAND = Path(__file__).with_name("second_hand.csv")
"""Numbers of the paper that are known from a note on it alone, not from the paper itself."""
HEADINGS = {
    "n_failed": "failed",
    "n_not_finite": "not finite",
    "n_truncated": "truncated",
    "median_prompt_tokens": "prompt tokens",
    "median_response_tokens": "response tokens",
    "mean_loss": "loss",
    "noise_floor": "noise floor",
    "noise_floor_95": "floor, 95 %",
    "largest_layers": "five largest layers",
    "mean_rank_bound": "rank bound",
    "relative_difference": "relative difference",
    "second_hand": "the paper, second-hand",
    "n_same_as_correct": "same as correct",
    "mean_newlines": "mean line breaks",
    "n_glued": "glued",
    "n_duplicated_instructions": "duplicated instructions",
    "n_literal_newlines": r"literal \n",
    "n_answer_missing": "answer missing",
}
_ERROR = "_standard_error"
_CORRECTED, _LOW, _HIGH = "_corrected", "_corrected_low", "_corrected_high"
_RELATIVE = "_over_mean"
_BASE = "_base"


def numeric_tables(statistics: dict[str, pd.DataFrame], bases: dict[str, str]) -> dict[str, pd.DataFrame]:
    """Every one of ``TABLES`` as numbers, from the statistics by name. Controls and other quantities stay there.

    ``bases`` names, by model, the one it was tuned from, where both are in the study.
    """
    plain = {name: table[table["control"] == "none"] for name, table in statistics.items()}
    norms, steps = (plain[name].query("quantity == 'nuclear_norm'") for name in ("layer_means", "mad"))
    all_norms, all_steps = (table.query("segment == 'all'") for table in (norms, steps))
    return {
        "cells": _cells(plain["cells"]),
        "nuclear_norm": _by_projection(all_norms, [*KEY, "n"], "mean"),
        "mad": _segments_in_order(_by_projection(steps, [*KEY, "segment"], "mad")),
        "relative_difference": plain["relative_difference"].drop(columns=["family", "control"]),
        "base_instruct": _base_instruct(all_norms, all_steps, plain["relative_difference"], bases),
        "second_hand": _second_hand(steps, plain["relative_difference"]),
    }


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    columns = ["n", "n_failed", "n_not_finite", "n_truncated", "median_prompt_tokens", "median_response_tokens"]
    return table[[*KEY, *columns, "mean_loss", "mean_rank_bound", "provenance"]]


def _segments_in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a response from its early layers to all of them, as the paper has them."""
    ranks = table["segment"].map({name: rank for rank, name in enumerate(SEGMENTS)})
    cells = table.groupby(KEY, sort=False).ngroup()
    return table.iloc[np.lexsort([ranks, cells])].reset_index(drop=True)


def _base_instruct(
    norms: pd.DataFrame, steps: pd.DataFrame, differences: pd.DataFrame, bases: dict[str, str]
) -> pd.DataFrame:
    """Tuned models beside their bases: mean nuclear norm and MAD over all layers, and absolute relative difference."""
    key = [*KEY, "projection"]
    numbers = (
        norms[[*key, "mean"]]
        .rename(columns={"mean": "nuclear_norm"})
        .merge(steps[[*key, "mad"]], on=key, how="left")
        .merge(differences[[*key, "absolute"]].rename(columns={"absolute": "relative_difference"}), on=key, how="left")
    )
    tuned = numbers.assign(base=numbers["model"].map(bases)).dropna(subset="base")
    table = tuned.merge(numbers.rename(columns={"model": "base"}), on=["base", *key[1:]], suffixes=("", _BASE))
    pairs = [column for name in ("nuclear_norm", "mad", "relative_difference") for column in (name + _BASE, name)]
    return table[["model", "base", *key[1:], *pairs]]


def _second_hand(steps: pd.DataFrame, differences: pd.DataFrame) -> pd.DataFrame:
    """Ours beside the paper's, for the cells that both have."""
    known = pd.read_csv(SECOND_HAND, keep_default_na=False)  # "none" is a variant
    key = ["quantity", *KEY, "segment", "projection"]
    ours = pd.concat(
        [
            steps.assign(quantity="MAD", ours=steps["mad"]),
            differences.assign(quantity="relative difference", segment="all", ours=differences["absolute"]),
        ]
    )
    return ours[[*key, "ours"]].merge(known, on=key)


def _by_projection(table: pd.DataFrame, key: list[str], value: str) -> pd.DataFrame:
    """One row a key in the order given; for each projection its value and, where the table has them, its standard
    error and flag; after these, where the table has it, the same corrected for noise, then relative to the size."""
    plain = {"": value, _ERROR: "standard_error", "_noisy": "noisy"}
    corrected = {_CORRECTED: f"corrected_{value}", _LOW: "corrected_low", _HIGH: "corrected_high"}
    relative = {_RELATIVE: f"relative_{value}"}
    wide = table[key].drop_duplicates().set_index(key)
    for columns in (plain, corrected, relative):
        for projection in table["projection"].unique():
            part = table[table["projection"] == projection].set_index(key)
            for suffix, column in columns.items():
                if column in table:
                    wide[projection + suffix] = part[column]
    return wide.reset_index()


def for_people(table: pd.DataFrame) -> pd.DataFrame:
    """The same table as text: a value with its error or interval in one column, three digits, headings in words."""
    shown = {}
    for name in table.columns:
        if name.endswith((_ERROR, "_noisy", _LOW, _HIGH)):
            continue
        texts = [_text(value, name) for value in table[name]]
        if name + _ERROR in table:
            errors = table[name + _ERROR]
            flags = table.get(name + "_noisy", pd.Series(False, index=table.index))
            texts = [_with_error(*cell) for cell in zip(texts, errors, flags, strict=True)]
        if name.endswith(_CORRECTED):
            ends = (table[name.removesuffix(_CORRECTED) + end] for end in (_LOW, _HIGH))
            texts = [_with_interval(*cell) for cell in zip(texts, *ends, strict=True)]
        shown[_heading(name, table)] = texts
    return pd.DataFrame(shown)


def _heading(name: str, table: pd.DataFrame) -> str:
    """A column's name in words."""
    if name == "response" and "absolute" in table:
        return "against"
    if name + _CORRECTED in table:
        return f"{name} raw"
    words = HEADINGS.get(name, name).replace(_RELATIVE, " raw / mean")
    return (f"{words.removesuffix(_BASE)}, base" if words.endswith(_BASE) else words).replace("_", " ")


def _text(value: object, name: str) -> str:
    if pd.isna(value):
        return NONE
    if not isinstance(value, float):
        return str(value)
    return f"{value:g}" if name.startswith(("median", "n_")) else number(value)


def _with_error(text: str, error: float, noisy: bool) -> str:
    if pd.notna(error):
        text = f"{text} ± {number(error, 2)}"
    return f"{text} *" if noisy else text


def _with_interval(text: str, low: float, high: float) -> str:
    return text if pd.isna(low) else f"{text} [{number(low)}, {number(high)}]"


def write_tables(statistics: dict[str, str | Path], folder: str | Path, bases: dict[str, str]) -> None:
    """Write every one of ``TABLES`` into ``folder`` as .csv, .md and .tex; ``statistics`` are the files by name.

    A table without a row is written, too: it says that the study has nothing of the kind.
    """
    tables = numeric_tables({name: read_table(path) for name, path in statistics.items()}, bases)
    for name in TABLES:
        path = Path(folder) / name
        with whole_file(path.with_suffix(".csv")) as temporary:
            tables[name].to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
        shown = for_people(tables[name])
        write_text(path.with_suffix(".md"), markdown(shown))
        write_text(path.with_suffix(".tex"), latex(shown))


def markdown(table: pd.DataFrame) -> str:
    """A pipe table in which every character of the data stands for itself."""
    escaped = table.map(_markdown_text).rename(columns=_markdown_text)
    return escaped.to_markdown(index=False, disable_numparse=True) + "\n"


def _markdown_text(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    for mark in "\\|*_`[]":
        text = text.replace(mark, "\\" + mark)
    return text


def latex(table: pd.DataFrame) -> str:
    """A booktabs table (needs the packages booktabs and longtable), all text escaped."""
    text = table.to_latex(index=False, escape=True, longtable=True)
    return text.replace("±", r"$\pm$")
