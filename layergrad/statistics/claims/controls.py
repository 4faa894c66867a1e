"""The controls: what is changed about the numbers of a claim before it is tested once more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from layergrad.statistics.claims.responses import Samples

NONE = "none"
UNTRAINED = "untrained"

Change = Callable[[Samples, str], np.ndarray]
"""From responses and the name of a quantity to changed values (n, projections, layers) of it."""


@dataclass(frozen=True, eq=False)
class Control:
    """One control. ``needs`` are traits of a comparison, all of which it must have for the control to mean anything."""

    name: str
    title: str
    statement: str
    needs: frozenset[str] = frozenset()
    change: Change | None = None
    keys: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The key ``control`` of the responses that are taken, by kind of response; ``none`` where not given."""
    stand_in: str = "irrelevant"
    """The kind of response that takes the place of irrelevant ones."""
    distinct: bool = False
    """Only samples whose responses have different texts."""
    fitted_on: str = ""
    """Of a length law, the family of the tasks whose responses it is fitted on, or ``all``."""


def _times(factor: Callable[[Samples], np.ndarray]) -> Change:
    return lambda samples, quantity: samples.values[quantity] * factor(samples)[:, None, None]


def _over_bound(samples: Samples, quantity: str) -> np.ndarray:
    """Over the greatest value that the rank bound allows at this Frobenius norm; null for a zero gradient."""
    values, most = samples.values[quantity], samples.values["rank_bound"]
    if quantity != "effective_rank":
        most = np.sqrt(most) * samples.values["frobenius_norm"]
    return np.divide(values, most, out=np.full(values.shape, np.nan), where=most > 0)


def _over_own_mean(samples: Samples, quantity: str) -> np.ndarray:
    values = samples.values[quantity]
    mean = values.mean(axis=2, keepdims=True)
    return np.divide(values, mean, out=np.full(values.shape, np.nan), where=mean > 0)


def _over_loss(samples: Samples) -> np.ndarray:
    return np.divide(1, samples.loss, out=np.full(samples.loss.shape, np.nan), where=samples.loss > 0)


def _both(control: str) -> Mapping[str, str]:
    return MappingProxyType(dict.fromkeys(("correct", "irrelevant", "incorrect"), control))


SCALED = frozenset({"scaled"})
OTHERS = frozenset({"others"})
SLOW_OTHERS = frozenset({"others", "detailed_others"})

CONTROLS = (
    Control(NONE, "no control", "The numbers as they were measured."),
    Control(
        "distinct_rows",
        "distinct rows",
        "Only samples whose two responses have different texts. An irrelevant bare answer can be the correct one.",
        OTHERS,
        distinct=True,
    ),
    Control(
        "loss_scale",
        "sum loss",
        "The loss summed over response tokens, not averaged: the nuclear norm times the number of tokens.",
        SCALED,
        change=_times(lambda samples: samples.tokens),
    ),
    Control(
        "sqrt_loss_scale",
        "square-root loss",
        "The nuclear norm times the square root of the number of response tokens, which undoes the shrinking that "
        "averaging over independent tokens brings.",
        SCALED,
        change=_times(lambda samples: np.sqrt(samples.tokens)),
    ),
    Control(
        "length_law",
        "length law, all responses",
        "What a power law of the number of response tokens leaves unexplained, fitted on all responses to all tasks of "
        "the model, by projection. The uncertainty of the power is part of the intervals.",
        frozenset({"sized"}),
        fitted_on="all",
    ),
    Control(
        "length_law_knowledge",
        "length law, knowledge alone",
        "The same, fitted on the knowledge tasks alone, in which length varies and reasoning does not. It is carried "
        "on beyond the lengths that it was fitted on.",
        frozenset({"sized"}),
        fitted_on="knowledge",
    ),
    Control(
        "over_loss",
        "per unit of loss",
        "The nuclear norm over the loss of the response.",
        SCALED,
        change=_times(_over_loss),
    ),
    Control(
        "rank",
        "rank bound",
        "The nuclear norm over its greatest possible value, the square root of the rank bound times the Frobenius "
        "norm; the effective rank over the rank bound.",
        frozenset({"spectral"}),
        change=_over_bound,
    ),
    Control(
        "own_size",
        "relative to its own size",
        "Each response's curve over its own mean, so that a rough curve is not a large one.",
        frozenset({"rough"}),
        change=_over_own_mean,
    ),
    Control(
        "equal_length",
        "equal length",
        "Measured anew with all responses of a sample cut to as many tokens as the shortest of them has.",
        OTHERS,
        keys=_both("equal_length"),
    ),
    Control(
        "answer_only",
        "answer only",
        "Measured anew with the loss on the final answer alone, in the same words after every kind of reasoning.",
        frozenset({"variants"}),
        keys=_both("answer_only"),
    ),
    Control(
        "irrelevant_shuffled",
        "shuffled sentences",
        "Measured anew with irrelevant responses as the paper made them: sentences pooled, shuffled and dealt out.",
        OTHERS,
        keys=MappingProxyType({"irrelevant": "irrelevant_shuffled"}),
    ),
    Control(
        "irrelevant_deranged",
        "whole responses of others",
        "Measured anew with irrelevant responses that are another sample's correct one, whole.",
        OTHERS,
        keys=MappingProxyType({"irrelevant": "irrelevant_deranged"}),
    ),
    Control(
        "incorrect",
        "wrong reasoning",
        "Wrong answers in place of irrelevant text: the same model's wrong answer to the same problem.",
        SLOW_OTHERS,
        stand_in="incorrect",
    ),
    Control(
        "cut_before_error",
        "wrong reasoning, before its first wrong step",
        "The same, with the wrong answer cut before its first wrong step and the right one cut to as many tokens.",
        SLOW_OTHERS,
        keys=_both("cut_before_error"),
        stand_in="incorrect",
    ),
    Control(
        "cut_after_error",
        "wrong reasoning, with its first wrong step",
        "The same, with the wrong answer cut after its first wrong step and the right one cut to as many tokens.",
        SLOW_OTHERS,
        keys=_both("cut_after_error"),
        stand_in="incorrect",
    ),
    Control(
        UNTRAINED,
        "untrained model",
        "The same architecture with random weights: what comes of architecture and texts, not of training.",
        frozenset({"one_model"}),
    ),
)
