"""What the paper's whole study would cost on GPUs, on paper: `python -m benchmarks.cost docs/benchmark`.

Jobs are those of `snakemake -n`, tokens those that the task files declare, and work scales with width, depth and length
as it was measured (`benchmark.csv`). How fast a GPU is in float32 cannot be measured here and is an assumption.
"""

import heapq
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.summary import CASE, medians
from layergrad.contracts.config.load import load_study
from layergrad.contracts.config.study import Study
from layergrad.contracts.estimate import job_minutes, job_tokens, responses
from layergrad.contracts.files import whole_file, write_text
from layergrad.contracts.tables import GRADIENTS, SIMILARITY, write_table
from layergrad.report.tables import markdown
from layergrad.report.words import number

STUDY = Path("config/paper.yaml")
GPUS = (1, 8, 64)
GPU_RATE = 10e12
"""Assumed: float32 operations a second that a GPU keeps up, half of an A100's peak."""
DISK_RATE = 1e9
"""Assumed: bytes a second at which weights are read, once a job."""
CORES = 2
"""Of the machine that made ``benchmark.csv``."""
START_SECONDS = 30
"""Assumed: imports, tokens and the memory check of a job."""


@dataclass(frozen=True)
class Shape:
    """What the work on a decoder depends on; ``q`` and ``kv`` are the widths of queries and of keys or values."""

    layers: int
    hidden: int
    q: int
    kv: int
    mlp: int
    vocabulary: int

    def layer_weights(self) -> int:
        """Weights of all layers: q, k, v, o, gate, up and down."""
        return self.layers * self.hidden * (2 * self.q + 2 * self.kv + 3 * self.mlp)

    def floor(self, tokens: float, response_tokens: float) -> float:
        """Operations of a forward pass and of a backward pass to the embedding: 4 a weight and token."""
        return 4 * (self.layer_weights() * tokens + self.hidden * self.vocabulary * response_tokens)

    def extremes(self, tokens: float) -> float:
        """Operations to form every gradient of q, k, v and o once, block by block."""
        return 2 * self.layers * self.hidden * (2 * self.q + 2 * self.kv) * tokens

    def entries(self, tokens: float) -> float:
        """Entries of the factors X and Y whose products are the gradients of q, k, v and o; q, k and v share one X."""
        return self.layers * tokens * 2 * (self.hidden + self.q + self.kv)


SHAPES = {
    "qwen2-1.5b": Shape(28, 1536, 1536, 256, 8960, 151936),
    "gemma-2-2b": Shape(26, 2304, 2048, 1024, 9216, 256000),
    "llama-3.1-8b": Shape(32, 4096, 4096, 1024, 14336, 128256),
    "gemma-2-9b": Shape(42, 3584, 4096, 2048, 14336, 256000),
    "llama-2-7b": Shape(32, 4096, 4096, 4096, 11008, 32000),
}
"""By the beginning of a model's name, as its configuration on the hub has it."""

MEASURED = {
    "SmolLM2-135M-Instruct": Shape(30, 576, 576, 192, 1536, 49152),
    "Two layers of Llama-3-8B's width": Shape(2, 4096, 4096, 1024, 14336, 1000),
}
"""By the name of the model in ``benchmark.csv``."""


def scaling(benchmark: pd.DataFrame) -> pd.DataFrame:
    """For each sample that was timed: seconds of the floor an operation, and of the spectra an entry of the factors.

    Were these counts all that matters, each would be one number for both models and every length.
    """
    summary = medians(benchmark).query("quantity == 'seconds'")
    seconds = summary.pivot(index=CASE, columns="procedure", values="median").reset_index()
    shapes = seconds["model"].map(MEASURED)
    floors = [
        shape.floor(n, r) for shape, n, r in zip(shapes, seconds["tokens"], seconds["response_tokens"], strict=True)
    ]
    entries = [shape.entries(tokens) for shape, tokens in zip(shapes, seconds["tokens"], strict=True)]
    return seconds[CASE].assign(floor=seconds["c"] / floors, spectra=seconds["d - c"] / entries)


def job_table(study: Study, seconds_an_entry: float) -> pd.DataFrame:
    """One row a gradient job of the study: model, task, tokens, and hours by what they go into.

    ``seconds_an_entry`` are core-seconds; the cores beside a GPU decompose side by side, while the GPU waits.
    """
    rows = []
    for model in study.models:
        shape = shape_of(model.name)
        for task in study.tasks:
            tokens = job_tokens(study, model, task)
            count = sum(responses(study, model, task, v) for v in task.variants) / study.gradients.shards
            extremes = shape.extremes(tokens) * (3 if study.similarity else 1)
            hours = {
                "start": START_SECONDS + 4 * shape.layer_weights() / DISK_RATE,
                "passes": shape.floor(tokens, tokens) / GPU_RATE,
                "spectra": shape.entries(tokens) * seconds_an_entry / study.gradients.threads,
                "extremes and cosines": extremes / GPU_RATE,
            }
            one = {"model": model.name, "task": task.name, "responses": count, "tokens": tokens, "layers": shape.layers}
            rows += [one | {name: value / 3600 for name, value in hours.items()}] * study.gradients.shards
    return pd.DataFrame(rows).assign(hours=lambda table: table[list(hours)].sum(axis=1))


def shape_of(model: str) -> Shape:
    """Shape of a model of the study, be it the base, the tuned or the untrained one."""
    return next(shape for name, shape in SHAPES.items() if model.startswith(name))


def makespan(hours: list[float], gpus: int) -> float:
    """Hours until the last job is done where each GPU takes the next job that is left, in the given order."""
    free = [0.0] * gpus
    for job in hours:
        heapq.heappush(free, heapq.heappop(free) + job)
    return max(free)


def bytes_a_row() -> dict[str, float]:
    """Bytes of a row of the tables of gradients and of similarity, measured on random numbers."""
    generator = np.random.default_rng(0)
    keys = {"task": "aqua", "variant": "detailed", "response": "correct", "replicate": 0, "control": "none"}
    sizes = {}
    for name, schema, per_layer in (("gradients", GRADIENTS, list("qkvo")), ("similarity", SIMILARITY, list("qk"))):
        index = pd.MultiIndex.from_product([[f"{i:016x}" for i in range(500)], range(32), per_layer])
        frame = index.to_frame(index=False, name=["sample_id", "layer", "projection"]).assign(**keys)
        for column in schema.names:
            if column not in frame:
                frame[column] = generator.random(len(frame)) if schema.field(column).type == "double" else None
        if name == "similarity":
            frame["kind"] = frame["projection"].map({"q": "qo", "k": "kv"})
        else:
            frame["rank_bound"] = 600
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.parquet"
            write_table(frame, path, schema, {})
            sizes[name] = path.stat().st_size / len(frame)
    return sizes


def snakemake_jobs() -> dict[str, int]:
    """Jobs of the study by rule, as Snakemake plans them; nothing is run or downloaded."""
    command = ["snakemake", "--dry-run", "--forceall", "--quiet", "rules", "--configfile", str(STUDY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    table = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    return {rule: int(count) for rule, count in table}


def page(study: Study, benchmark: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The page for people, and its table of hours by number of GPUs."""
    measured = scaling(benchmark)
    jobs = job_table(study, CORES * measured["spectra"].median())
    slow = job_table(study, CORES * measured["spectra"].max())
    planned = snakemake_jobs()
    kinds = ["start", "passes", "spectra", "extremes and cosines", "hours"]
    models = jobs.groupby("model", sort=False)[["responses", "tokens", *kinds]].sum().reset_index()
    totals = pd.DataFrame([_on(gpus, jobs, slow) for gpus in GPUS])
    parts = [
        "# What the paper's whole study would cost",
        "On paper: made by `python -m benchmarks.cost docs/benchmark`, not measured on a GPU.",
        f"`snakemake -n --configfile {STUDY}` plans {planned['total']} jobs. {planned['extract_gradients']} of them "
        f"measure gradients and {planned['diagnose_model']} examine a model, on a GPU; the others take minutes of a "
        "core each.",
        markdown(_shown(totals)),
        "Without what goes beyond the paper (controls, cosines, untrained models) it is "
        f"{number(_paper_alone(study, measured))} GPU hours.",
        "## Hours of a GPU by model",
        markdown(_shown(models)),
        "## Bytes",
        markdown(_shown(_bytes(jobs, study))),
        "## How work scales with width, depth and length",
        "As measured on two models and several lengths, on two cores. Were the count of operations (floor: passes) and "
        "of entries of the factors X and Y (spectra) all that matters, each column would be one number.",
        markdown(_shown(_small_units(measured))),
        _assumptions(study, measured["spectra"]),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n", totals


def _paper_alone(study: Study, measured: pd.DataFrame) -> float:
    trained = [model for model in study.models if not model.untrained_of]
    alone = study.model_copy(update={"models": trained, "controls": [], "similarity": False})
    return job_table(alone, CORES * measured["spectra"].median())["hours"].sum()


def _small_units(measured: pd.DataFrame) -> pd.DataFrame:
    shown = measured.assign(floor=measured["floor"] * 1e12, spectra=measured["spectra"] * 1e9)
    return shown.rename(columns={"floor": "floor, ps an operation", "spectra": "spectra, ns an entry"})


def _on(gpus: int, jobs: pd.DataFrame, slow: pd.DataFrame) -> dict[str, float]:
    whole = makespan(list(jobs["hours"]), gpus)
    return {
        "GPUs": gpus,
        "hours": whole,
        "days": whole / 24,
        "GPU hours": jobs["hours"].sum(),
        "share of time at work": jobs["hours"].sum() / whole / gpus,
        "hours with the slowest spectra": makespan(list(slow["hours"]), gpus),
    }


def _bytes(jobs: pd.DataFrame, study: Study) -> pd.DataFrame:
    size = bytes_a_row()
    layers = (jobs["responses"] * jobs["layers"]).sum()
    trained = [shape_of(model.name) for model in study.models if not model.untrained_of]
    untrained = [shape_of(model.name) for model in study.models if model.untrained_of]
    gigabytes = {
        "tables of gradients": layers * 4 * size["gradients"],
        "tables of cosines": layers * 6 * size["similarity"] if study.similarity else 0,
        "weights from the hub, 2 bytes each": sum(2 * _weights(shape) for shape in trained),
        "weights made at random, 4 bytes each": sum(4 * _weights(shape) for shape in untrained),
    }
    gigabytes["shards, kept beside the merged tables"] = (
        gigabytes["tables of gradients"] + gigabytes["tables of cosines"]
    )
    table = pd.DataFrame({"what": gigabytes.keys(), "GB": [value / 1e9 for value in gigabytes.values()]})
    return pd.concat([table, pd.DataFrame([{"what": "together", "GB": table["GB"].sum()}])], ignore_index=True)


def _weights(shape: Shape) -> int:
    return shape.layer_weights() + shape.hidden * shape.vocabulary


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    numbers = table.select_dtypes("float").columns
    return table.assign(**{name: table[name].map(number) for name in numbers}).astype(str)


def _assumptions(study: Study, spectra: pd.Series) -> str:
    return f"""\
## Assumptions

- A GPU of 80 GB keeps up {GPU_RATE:.0e} float32 operations a second, half of an A100's peak without TF32. Passes,
  extreme entries and cosines go as its inverse: at twice the rate they take half as long.
- Passes are 4 operations a weight and token: forward, and backward to the inputs; weight gradients are never formed by
  autograd. Attention's own products and padding are not counted; up to 1024 tokens they are a few per cent.
- Every token is counted as a response's, so that the vocabulary is paid for everywhere: too much for bare answers.
- The decompositions run on {study.gradients.threads} cores beside the GPU, which waits meanwhile. Each does what one of
  the {CORES} cores of the benchmark did: an entry of the factors in {CORES * spectra.median() * 1e9:.0f} ns, the median
  of what was measured; the last column has {CORES * spectra.max() * 1e9:.0f} ns, the slowest.
- Extreme entries form each gradient once, cosines twice more.
- A job takes {START_SECONDS} s to start and reads its weights at {DISK_RATE / 1e9:.0f} GB a second. Waiting in a queue
  and jobs that are tried again are not counted.
- Tokens and responses are those that the task files declare, controls at their most.
- Jobs start in the order of the study file as GPUs become free.
- A row of the tables of gradients takes the bytes that one of random numbers takes.

By the model files' own estimates (`seconds_per_1000_tokens`), which count the GPU's seconds and those of one core, the
jobs ask for {_declared(study):.0f} hours, with every attempt for as many again."""


def _declared(study: Study) -> float:
    """Hours that all gradient jobs together ask for."""
    minutes = sum(job_minutes(study, model, task) for model in study.models for task in study.tasks)
    return study.gradients.shards * minutes / 60


def main(folder: str) -> None:
    """Write ``cost.md`` and ``cost.csv`` into ``folder``, which has ``benchmark.csv``."""
    text, totals = page(load_study(STUDY), pd.read_csv(Path(folder) / "benchmark.csv"))
    write_text(Path(folder) / "cost.md", text)
    with whole_file(Path(folder) / "cost.csv") as temporary:
        totals.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.cost FOLDER")
    main(sys.argv[1])
