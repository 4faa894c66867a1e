"""What each cell (variant, response, control) consists of: how many responses, how long, how well predicted."""

import pandas as pd

from layergrad.statistics.measured import CELL, RESPONSE, Measured


def cells(measured: Measured) -> pd.DataFrame:
    """One row a cell: counts, tokens, loss, rank bound, provenance, licence.

    ``n`` responses are used, ``n_truncated`` of them (null where that was not recorded); ``n_failed`` and
    ``n_not_finite`` are left out.
    Means and medians are over the used responses, and null where there are none; tokens are those of the model.
    """
    responses = measured.responses
    outcome = responses["outcome"]
    counts = responses.assign(
        used=outcome == "used",
        failed=outcome == "failed",
        not_finite=outcome == "not_finite",
        cut=(outcome == "used") & responses["truncated"].eq(True),
        unknown=(outcome == "used") & responses["truncated"].isna(),
    )
    groups = counts.groupby(CELL, observed=True)
    table = groups.agg(
        family=("family", "first"),
        n=("used", "sum"),
        n_failed=("failed", "sum"),
        n_not_finite=("not_finite", "sum"),
        n_truncated=("cut", "sum"),
        provenance=("provenance", _listed),
        licence=("licence", _listed),
    )
    unknown = groups["unknown"].any()
    table["n_truncated"] = table["n_truncated"].astype("Int64").mask(unknown)
    return table.join(_lengths(responses[outcome == "used"])).join(_rank_bounds(measured)).reset_index()


def _lengths(used: pd.DataFrame) -> pd.DataFrame:
    return used.groupby(CELL, observed=True).agg(
        mean_prompt_tokens=("n_prompt_tokens", "mean"),
        median_prompt_tokens=("n_prompt_tokens", "median"),
        mean_response_tokens=("n_response_tokens", "mean"),
        median_response_tokens=("n_response_tokens", "median"),
        mean_loss=("loss", "mean"),
    )


def _rank_bounds(measured: Measured) -> pd.Series:
    """Mean over responses of the mean over layers and projections."""
    by_response = measured.spectra.groupby(RESPONSE, observed=True)["rank_bound"].mean()
    return by_response.groupby(level=CELL, observed=True).mean().rename("mean_rank_bound")


def _listed(values: pd.Series) -> str:
    return ", ".join(sorted(set(values.dropna().astype(str))))
