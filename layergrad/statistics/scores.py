"""One score a response from its gradients, and how much of the scores is only the responses' length."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from layergrad.statistics.inference import length_law

SCORES = ("nuclear_norm", "effective_rank")
TOLD = {
    "loss": "float64",
    "n_response_tokens": "int32",
    "truncated": "bool",
    "status": "object",
    "reason": "object",
}
"""What stands beside the scores, with its kind: in a table without a row pandas knows none."""


def score_fields(projections: Sequence[str]) -> list[str]:
    """The columns of ``scores``: each score, each score of each projection, and what else is told of a response."""
    return [*SCORES, *(f"{score}_{projection}" for score in SCORES for projection in projections), *TOLD]


def scores(
    gradients: pd.DataFrame, samples: pd.DataFrame, projections: Sequence[str], layers: range | None = None
) -> pd.DataFrame:
    """One row a response, by ``sample_index``, with the columns ``score_fields``.

    A score is the mean over ``layers`` (all, if none are given) and projections; beside it stands the mean over layers
    of each projection. A gradient that is zero has a nuclear norm of 0 and no effective rank, so that it is in the mean
    of the one and not of the other. A response that failed has no scores, but its reason.
    """
    chosen = gradients[gradients["layer"].isin(layers)] if layers is not None else gradients
    # In one order, so that a mean is the same to its last bit whatever shard the rows come from.
    values = chosen.astype(dict.fromkeys(SCORES, "float64")).sort_values(["sample_index", "layer", "projection"])
    by_projection = values.groupby(["sample_index", "projection"])[list(SCORES)].mean().unstack("projection")
    by_projection.columns = [f"{score}_{projection}" for score, projection in by_projection.columns]
    means = values.groupby("sample_index")[list(SCORES)].mean()
    told = samples.set_index("sample_index").sort_index()[list(TOLD)].astype(TOLD)
    return told.join(means).join(by_projection).reindex(columns=score_fields(projections))


def length_share(table: pd.DataFrame) -> dict[str, float]:
    """By score, the share of the variance of its logarithm that a straight line on log response tokens explains (R²).

    Not a number for responses of fewer than three different lengths, through two of which any line fits.
    """
    shares = {}
    for score in SCORES:
        known = table[(table[score] > 0) & (table["n_response_tokens"] > 0)]
        enough = known["n_response_tokens"].nunique() >= 3
        law = length_law(np.log(known[score]), np.log(known["n_response_tokens"])) if enough else None
        shares[score] = law.r_squared if law else np.nan
    return shares
