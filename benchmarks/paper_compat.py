"""What the paper's token ids and mask change: `python -m benchmarks.paper_compat FOLDER` prints the tables.

FOLDER holds the authors' released data, the folder `data` of their repository. About 15 minutes.
"""

import json
import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from layergrad.contracts.config.load import load_study
from layergrad.gradients.measure import Measurer
from layergrad.models.load import load_model, load_tokenizer
from layergrad.models.prepare import prepare_model, read_card
from layergrad.models.tokens import EncodedResponse, encode

MODELS = ("smollm2-135m-instruct", "gemma-3-270m")
# Gemma 3's base model has no chat template; this has the turns of its tuned sister.
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for turn in messages %}"
    "{% if turn.role == 'system' %}{{ raise_exception('there is no system turn') }}{% endif %}"
    "<start_of_turn>{{ turn.role }}\n{{ turn.content | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
FILES = {
    "none": ("cot_500/gsm8k_train_no_cot", "cot_500/strategyqa_train_no_cot"),
    "simplified": ("cot_500/gsm8k_train_with_cot", "cot_500/strategyqa_train_with_cot"),
    "detailed": ("cot_500/gsm8k_train_with_cot_gpt4o", "cot_500/strategyqa_train_with_cot_gpt4o"),
    "knowledge": ("wiki_popularity/popular_wikipedia_100", "wiki_popularity/long_tail_wikipedia"),
}
ROWS = 3  # of each file


def both_ways(
    tokenizer: PreTrainedTokenizerBase, row: dict[str, str], prompt: str
) -> tuple[EncodedResponse, EncodedResponse]:
    """The clean encoding of a row, and the paper's."""
    clean, paper = (
        encode(tokenizer, row["instruction"], row["output"], prompt=prompt, paper_compat=compat)
        for compat in (False, True)
    )
    return clean, paper


def count(tokenizer: PreTrainedTokenizerBase, prompt: str, data: Path) -> dict[str, int]:
    """Rows of all released files, and in how many of them the two encodings differ."""
    counts = dict.fromkeys(("rows", "a second BOS", "other tokens in the loss", "no token left"), 0)
    for file in sorted(data.glob("*/*.json")):
        for row in json.loads(file.read_text()):
            clean, paper = both_ways(tokenizer, row, prompt)
            counts["rows"] += 1
            counts["a second BOS"] += paper.ids[:2] == 2 * (tokenizer.bos_token_id,)
            counts["other tokens in the loss"] += paper.ids[paper.start :] != clean.ids[clean.start :]
            counts["no token left"] += not paper.n_response
    return counts


def chosen(tokenizer: PreTrainedTokenizerBase, prompt: str, data: Path) -> list[tuple[str, dict[str, str]]]:
    """The first rows of each file, and where the response begins elsewhere the first of those too."""
    rows = []
    for variant, names in FILES.items():
        for name in names:
            there = json.loads((data / f"{name}.json").read_text())
            rows += [(variant, row) for row in there[:ROWS]]
            ways = ((row, *both_ways(tokenizer, row, prompt)) for row in there)
            moved = [row for row, clean, paper in ways if paper.n_response != clean.n_response and not paper.truncated]
            rows += [(f"{variant}, response moved", row) for row in moved[:ROWS]]
    return rows


def measure(
    measurer: Measurer, tokenizer: PreTrainedTokenizerBase, prompt: str, rows: list[tuple[str, dict[str, str]]]
) -> pd.DataFrame:
    """Response tokens, loss and layer means of the nuclear norm of every row, both ways, the paper's over the clean."""
    table = []
    for variant, row in rows:
        values = []
        for encoded in both_ways(tokenizer, row, prompt):
            (measurement,) = measurer.measure([encoded])
            norms = pd.DataFrame(measurer.rows(measurement, encoded)).groupby("projection")["nuclear_norm"].mean()
            values.append(pd.Series({"tokens": encoded.n_response, "loss": measurement.loss, **norms[[*"qkvo"]]}))
        clean, paper = values
        ratios = (paper / clean).drop("tokens").add_prefix("ratio of ")
        table.append({"responses": variant, "clean tokens": clean["tokens"], "tokens": paper["tokens"], **ratios})
    return pd.DataFrame(table)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Means by variant, and the largest change of any nuclear norm in a single response."""
    ratios = [f"ratio of {projection}" for projection in "qkvo"]
    table = table.assign(largest=(table[ratios] - 1).abs().max(axis=1))
    groups = table.groupby("responses", sort=False)
    means = groups[["clean tokens", "tokens", "ratio of loss", *ratios]].mean()
    return means.assign(**{"largest change": groups["largest"].max()}).assign(n=groups.size()).reset_index()


def main(data: Path) -> None:
    """Print one table of counts, and one of ratios for every model and prompt."""
    torch.set_num_threads(1)
    counts = []
    for name in MODELS:
        study = load_study("config/config.yaml", {"models": [name], "length_tokenizer": name})
        with tempfile.TemporaryDirectory() as folder:
            prepare_model(study.model(name), f"{folder}/{name}")
            _, origin = read_card(f"{folder}/{name}/card.json")
            tokenizer, measurer = load_tokenizer(origin), Measurer(load_model(origin), extremes=False)
        tokenizer.chat_template = tokenizer.chat_template or GEMMA_TEMPLATE
        for prompt in ("plain", "chat"):
            counts.append({"model": name, "prompt": prompt, **count(tokenizer, prompt, data)})
            print(pd.DataFrame(counts[-1:]).to_markdown(index=False), flush=True)
            table = summary(measure(measurer, tokenizer, prompt, chosen(tokenizer, prompt, data)))
            print(f"\n{name}, {prompt}\n\n{table.to_markdown(index=False, floatfmt='.4g')}\n", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python -m benchmarks.paper_compat FOLDER")
    main(Path(sys.argv[1]))
