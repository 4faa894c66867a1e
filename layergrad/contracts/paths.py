"""Where everything of a study lies. Values may hold Snakemake wildcards such as ``{task}``."""

from pathlib import Path

RESULTS = Path("results")

STATISTICS = (
    "cells",
    "curves",
    "mad",
    "layer_means",
    "early_over_last",
    "variant_differences",
    "relative_difference",
    "relative_difference_layers",
)
"""Tables of ``statistics/<model>/<task>/`` and, for the whole study, of ``statistics/``; each .parquet and .csv."""

CLAIMS = (
    "claims.parquet",
    "claims.csv",
    "claims.json",
    "claims.tex",
    "summary.md",
    "verdicts.json",
    "ledger.json",
    "controls.json",
    *(f"evidence_{claim}.{kind}" for claim in ("C12", "C13", "C14") for kind in ("parquet", "csv")),
    "length_laws.parquet",
    "length_laws.csv",
    "examples.parquet",
    "examples.csv",
)
"""Files of ``claims/``."""

CLAIM_NAMES = (*(f"C{number}" for number in range(1, 15)), *(f"B{number}" for number in range(1, 8)))
"""The claims of the ledger; each has a page in the report."""

FIGURES = ("nuclear_norm", "correct_irrelevant", "sigma1_ratio", "effective_rank")
"""Figures of ``figures/<model>/<task>/``; each .svg and .png."""

COMPARISON_FIGURES = ("side_by_side", "ratio")
"""Figures of ``figures/comparisons/<one>/<other>/<task or model>/``; each .svg and .png."""

ASSETS = ("vega.js", "vega-licences.txt", "charts.js")
"""Files of ``report/assets/``: the plotting library, its licences, and the script that draws the charts with it."""

TABLES = ("cells", "nuclear_norm", "mad", "relative_difference", "base_instruct", "second_hand")
"""Tables of ``tables/``; each .csv, .md and .tex."""

CLAIMS_PAGE = "claims.html"
"""The report's page of all claims."""

COMPARISONS_PAGE = "comparisons.html"
"""The report's page of models and tasks side by side."""


def task_page(task: str) -> str:
    """File name of a task's page in the report; its prefix keeps a task called index off the place of the index."""
    return f"task-{task}.html"


def claim_page(claim: str) -> str:
    """File name of the page with a claim's evidence in the report."""
    return f"claims-{claim}.html"


class StudyPaths:
    """The folders of one study, all under ``results/<name>/``."""

    def __init__(self, name: str) -> None:
        self.root = RESULTS / name
        self.sources = self.root / "sources"
        self.models = self.root / "models"
        self.weights = self.root / "weights"
        self.diagnostics = self.root / "diagnostics"
        self.data = self.root / "data"
        self.shards = self.root / "shards"
        self.parts = self.root / "parts"
        self.gradients = self.root / "gradients"
        self.audit = self.root / "audit"
        self.statistics = self.root / "statistics"
        self.compared = self.statistics / "comparisons"
        self.claims = self.root / "claims"
        self.figures = self.root / "figures"
        self.compared_figures = self.figures / "comparisons"
        self.tables = self.root / "tables"
        self.report = self.root / "report"
        self.metrics = self.root / "metrics.json"
        self.run = self.root / "run"
        self.provenance = self.root / "provenance"
        self.logs = self.root / "logs"
        self.benchmarks = self.root / "benchmarks"
