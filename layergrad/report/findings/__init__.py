"""What the numbers say, in words made from the numbers alone."""

from layergrad.contracts.keys import KNOWLEDGE_VARIANTS, REASONING_VARIANTS
from layergrad.report.findings import chains
from layergrad.report.findings.caveats import absent, lengths, uncertain
from layergrad.report.findings.contrasts import apart
from layergrad.report.findings.layers import early_and_late
from layergrad.report.findings.numbers import Finding, Numbers

__all__ = ["Finding", "Numbers", "findings"]


def findings(numbers: Numbers) -> list[Finding]:
    """All findings that the tasks of the study allow, in the order of the report."""
    norm = chains.Thing("the mean nuclear norm", numbers.differences("nuclear_norm"))
    over_loss = chains.Thing("the mean nuclear norm over loss", numbers.differences("nuclear_norm_over_loss"))
    mad = chains.Thing("the mean step between layers (MAD, corrected for noise)", numbers.differences("mad"))
    relative = chains.Thing("corrected MAD over the mean of its curve", numbers.differences("relative_mad"))
    every = [
        chains.along_chain(numbers, chains.REASONING_SIZE, norm),
        chains.along_chain(numbers, chains.REASONING_OVER_LOSS, over_loss),
        chains.along_chain(numbers, chains.REASONING_ROUGHNESS, mad),
        chains.along_chain(numbers, chains.REASONING_RELATIVE, relative),
        early_and_late(numbers),
        apart(numbers, "irrelevant", "Do gradients tell correct reasoning from irrelevant text?", REASONING_VARIANTS),
        apart(numbers, "incorrect", "Do gradients tell correct from mistaken reasoning?", REASONING_VARIANTS),
        apart(numbers, "irrelevant", "Do gradients tell correct knowledge from irrelevant text?", KNOWLEDGE_VARIANTS),
        chains.along_chain(numbers, chains.LENGTH_SIZE, norm),
        chains.along_chain(numbers, chains.LENGTH_ROUGHNESS, mad),
        chains.along_chain(numbers, chains.LENGTH_RELATIVE, relative),
        chains.along_chain(numbers, chains.POPULARITY, norm),
        lengths(numbers),
        absent(numbers),
        uncertain(numbers),
    ]
    return [finding for finding in every if finding is not None]
