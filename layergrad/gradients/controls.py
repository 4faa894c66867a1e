"""What the gradient job makes of a response because of its key ``control``: where its loss is, and where it ends."""

import pandas as pd

from layergrad.contracts.errors import UserError
from layergrad.models.tokens import EncodedResponse

CUT_TO_SHORTEST = ("equal_length", "cut_before_error", "cut_after_error")
_TEXT = ["task", "sample_id", "variant", "control"]


def without_and_with_loss(samples: pd.DataFrame) -> list[tuple[str, str]]:
    """Of every output, the part that bears no loss and the part that does: with answer_only the answer at its end.

    Raises ``UserError`` for an answer_only output that does not end with its answer.
    """
    if not (samples["control"] == "answer_only").any():
        return [("", output) for output in samples["output"]]
    rows = samples[["sample_id", "control", "output", "answer"]].itertuples(index=False)
    return [_split(*row) if row.control == "answer_only" else ("", row.output) for row in rows]


def _split(sample_id: str, control: str, output: str, answer: str) -> tuple[str, str]:
    if not answer or not output.endswith(answer):
        raise UserError(f"sample {sample_id}: its {control} output does not end with its answer {answer!r}")
    return output.removesuffix(answer), answer


def cut_to_shortest(encoded: list[EncodedResponse], samples: pd.DataFrame) -> list[EncodedResponse]:
    """The responses of a sample, correct or not, cut to as many tokens as the shortest of them has.

    Of the controls ``CUT_TO_SHORTEST`` alone; the tokens are those of the model that is measured.
    """
    tokens = pd.Series([one.n_response for one in encoded], index=samples.index)
    shortest = tokens.groupby([samples[key] for key in _TEXT], dropna=False).transform("min")
    controlled = samples["control"].isin(CUT_TO_SHORTEST)
    return [one.cut(length) if cut else one for one, length, cut in zip(encoded, shortest, controlled, strict=True)]
