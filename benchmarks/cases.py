"""What is measured: samples of the default study on its model, and random ones on a model of Llama-3-8B's width."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from layergrad.contracts.config.study import Study
from layergrad.contracts.paths import StudyPaths
from layergrad.contracts.tables import read_table
from layergrad.models.tokens import EncodedResponse, encode

TASKS = ("gsm_symbolic", "champ")
WIDE = {
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 1000,
    "num_hidden_layers": 2,
    "tie_word_embeddings": False,
}
"""Llama-3-8B's width; the vocabulary is small and the layers are two, so that it fits on a laptop."""


@dataclass(frozen=True)
class Case:
    """One sample on one model, under the names that the results give them."""

    model: str
    sample: str
    encoded: EncodedResponse

    def row(self, procedure: str, quantity: str, repeat: int, value: float) -> dict[str, Any]:
        """One row of the table of results; ``quantity`` says the unit."""
        return {
            "model": self.model,
            "sample": self.sample,
            "tokens": len(self.encoded.ids),
            "response_tokens": self.encoded.n_response,
            "procedure": procedure,
            "quantity": quantity,
            "repeat": repeat,
            "value": value,
        }


def wide_model(**shape: Any) -> PreTrainedModel:
    """A Llama of that shape with random float32 weights, frozen; the same ones each time."""
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**shape)).float().eval().requires_grad_(False)


def study_samples(study: Study, tokenizer: PreTrainedTokenizerBase) -> dict[tuple[str, str], list[EncodedResponse]]:
    """Correct responses of the study's reasoning tasks by (task, variant), encoded as its gradient jobs do.

    Those that were cut to the context are left out. Raises ``UserError`` if the study's data have not been made.
    """
    tables = [read_table(StudyPaths(study.name).data / f"{task}.parquet") for task in TASKS]
    rows = pd.concat(tables).query("response == 'correct' and control == 'none'")
    options = {"prompt": study.models[0].prompt, "paper_compat": study.paper_compat, "max_length": study.max_length}
    samples: dict[tuple[str, str], list[EncodedResponse]] = {}
    for row in rows.itertuples():
        encoded = encode(tokenizer, row.instruction, row.output, **options)
        if not encoded.truncated:
            samples.setdefault((row.task, row.variant), []).append(encoded)
    return samples


def nearest(samples: list[EncodedResponse], tokens: int) -> EncodedResponse:
    """The sample whose length is nearest to so many tokens; of equal ones always the same."""
    return min(samples, key=lambda sample: (abs(len(sample.ids) - tokens), sample.ids))


def evenly(samples: list[EncodedResponse], count: int) -> list[EncodedResponse]:
    """So many of the samples, evenly spread over their lengths: a small set with the distribution of all."""
    ordered = sorted(samples, key=lambda sample: (len(sample.ids), sample.ids))
    return [ordered[(2 * place + 1) * len(ordered) // (2 * count)] for place in range(count)]


def random_sample(tokens: int, like: EncodedResponse, vocabulary: int) -> EncodedResponse:
    """So many random token ids, of which the same share is the response as in a real sample."""
    ids = torch.randint(vocabulary, (tokens,), generator=torch.Generator().manual_seed(tokens))
    n_response = max(1, round(tokens * like.n_response / len(like.ids)))
    return EncodedResponse(tuple(ids.tolist()), tokens - n_response, truncated=False)
