"""What may be concluded from a sample: estimates with intervals and tests, all over one resample index a task."""

from layergrad.statistics.inference.estimate import Estimate, equivalence, false_discovery
from layergrad.statistics.inference.lengths import LengthLaw, length_law
from layergrad.statistics.inference.mad import (
    MadBounds,
    bounds_log_ratio,
    mad_bounds,
    mad_estimate,
    mad_log_ratio,
    noise_corrected_mad,
    over_mean,
)
from layergrad.statistics.inference.means import (
    paired_log_ratio,
    paired_mean,
    paired_means,
    unpaired_log_ratio,
    unpaired_mean,
    unpaired_means,
)
from layergrad.statistics.inference.resamples import Resamples, noise_floor

__all__ = [
    "Estimate",
    "LengthLaw",
    "MadBounds",
    "Resamples",
    "bounds_log_ratio",
    "equivalence",
    "false_discovery",
    "length_law",
    "mad_bounds",
    "mad_estimate",
    "mad_log_ratio",
    "noise_corrected_mad",
    "noise_floor",
    "over_mean",
    "paired_log_ratio",
    "paired_mean",
    "paired_means",
    "unpaired_log_ratio",
    "unpaired_mean",
    "unpaired_means",
]
