"""What was measured, and which responses the means may use."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from layergrad.contracts.errors import UserError
from layergrad.contracts.keys import CONTROLS, PROJECTIONS, RESPONSES, VARIANTS
from layergrad.contracts.tables import read_table

CELL = ["variant", "response", "control"]
RESPONSE = [*CELL, "sample_id", "replicate"]
"""The key of a response within one task."""

QUANTITIES = (
    "nuclear_norm",
    "frobenius_norm",
    "spectral_norm",
    "effective_rank",
    "stable_rank",
    "sigma1_ratio",
    "nuclear_norm_over_loss",
)
_NORMS = ["nuclear_norm", "frobenius_norm", "spectral_norm"]
_ORDER = {"variant": VARIANTS, "response": RESPONSES, "control": CONTROLS, "projection": PROJECTIONS}


@dataclass(frozen=True)
class Measured:
    """One task on one model."""

    responses: pd.DataFrame
    """One row a response: the samples table, family, provenance, licence; ``outcome`` is used, failed or not_finite."""
    spectra: pd.DataFrame
    """One row a used response, layer and projection, with every one of ``QUANTITIES``."""

    @property
    def n_layers(self) -> int:
        """Layers of the model."""
        return int(self.spectra["layer"].max()) + 1

    def values(self, quantity: str) -> pd.DataFrame:
        """Used responses (rows) by projection and layer (columns), in the vocabulary's order."""
        return self.spectra.pivot(index=RESPONSE, columns=["projection", "layer"], values=quantity).sort_index(axis=1)


def read_measured(gradients: str | Path, samples: str | Path, data: str | Path) -> Measured:
    """Read one task's tables. Raises ``UserError`` where they do not belong together or nothing in them is usable."""
    spectra, responses = _ordered(read_table(gradients), gradients), _ordered(read_table(samples), samples)
    responses = _with_origin(responses, _ordered(read_table(data), data), data)
    _check_complete(spectra, responses, gradients)
    responses["outcome"] = _outcomes(spectra, responses)
    used = responses.loc[responses["outcome"] == "used", [*RESPONSE, "loss"]]
    if used.empty:
        raise UserError(f"{gradients}: no response was measured with finite values; the reasons stand in {samples}")
    return Measured(responses, _with_ratios(spectra.merge(used, on=RESPONSE)))


def _ordered(frame: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """Give the key columns the vocabulary's order, so that whatever is grouped or sorted comes in it."""
    for column in set(_ORDER) & set(frame.columns):
        known = frame[column].isin(_ORDER[column])
        if not known.all():
            given = frame.loc[~known, column].iloc[0]
            raise UserError(f"{path}: {column} {given!r} given; allowed is {', '.join(_ORDER[column])}")
        frame[column] = pd.Categorical(frame[column], _ORDER[column], ordered=True)
    return frame


def _with_origin(responses: pd.DataFrame, data: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    origin = data[[*RESPONSE, "family", "provenance", "licence"]]
    merged = responses.merge(origin, on=RESPONSE, how="left", indicator="found")
    strangers = merged.loc[merged["found"] != "both", "sample_id"]
    if len(strangers):
        raise UserError(
            f"{path}: has no response of sample {strangers.iloc[0]}, which was measured; remove the gradients"
        )
    return merged.drop(columns="found")


def _check_complete(spectra: pd.DataFrame, responses: pd.DataFrame, path: str | Path) -> None:
    """Every response with status ok has every layer and projection, and nothing else has any."""
    expected = spectra["layer"].nunique() * spectra["projection"].nunique()
    rows = spectra.groupby(RESPONSE, observed=True).size().rename("rows")
    table = responses.merge(rows, on=RESPONSE, how="outer")
    wrong = table.loc[table["rows"].fillna(0) != np.where(table["status"] == "ok", expected, 0)]
    if len(wrong):
        first = wrong.iloc[0]
        raise UserError(
            f"{path}: sample {first['sample_id']} has status {first['status']} and {first['rows']:.0f} of {expected} "
            f"rows of layers and projections ({len(wrong)} such responses); remove it and run again to make it anew"
        )


def _outcomes(spectra: pd.DataFrame, responses: pd.DataFrame) -> np.ndarray:
    """A response is used for all projections or for none: one value that is not finite leaves it out of every mean."""
    finite = np.isfinite(spectra[_NORMS]).all(axis=1).groupby([spectra[key] for key in RESPONSE], observed=True).all()
    finite = responses[RESPONSE].merge(finite.rename("finite"), on=RESPONSE, how="left")["finite"].eq(True)
    finite = finite.to_numpy() & np.isfinite(responses["loss"].to_numpy(float))
    return np.where(responses["status"] != "ok", "failed", np.where(finite, "used", "not_finite"))


def _with_ratios(spectra: pd.DataFrame) -> pd.DataFrame:
    """sigma_1 / sum sigma, 0 for a zero gradient as in the paper's code, and nuclear norm / loss."""
    nuclear, spectral, loss = (spectra[name].to_numpy(float) for name in ("nuclear_norm", "spectral_norm", "loss"))
    ratio = np.divide(spectral, nuclear, out=np.zeros_like(nuclear), where=nuclear > 0)
    per_loss = np.divide(nuclear, loss, out=np.full_like(nuclear, np.nan), where=loss > 0)
    return spectra.assign(sigma1_ratio=ratio, nuclear_norm_over_loss=per_loss)
