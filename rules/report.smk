"""Statistics to results for people: figures, tables, the headline numbers, and pages with all of them."""

BASES = {model.name: model.base for model in STUDY.models if model.base in MODELS}
SECOND_HAND = CODE / "report" / "second_hand.csv"


def shown(figure):
    """A figure's SVG file, with what Snakemake's own report says of it."""
    return report(
        PATHS.figures / "{model}" / "{task}" / f"{figure}.svg",
        caption=f"../layergrad/report/templates/figure_{figure}.rst",
        category="{model}",
        subcategory="{task}",
        labels={"figure": figure.replace("_", " ")},
    )


rule draw_figures:
    input:
        curves=PATHS.statistics / "{model}" / "{task}" / "curves.parquet",
        differences=PATHS.statistics / "{model}" / "{task}" / "relative_difference_layers.parquet",
    output:
        svg=[shown(figure) for figure in FIGURES],
        png=[PATHS.figures / "{model}" / "{task}" / f"{figure}.png" for figure in FIGURES],
    log:
        PATHS.logs / "draw_figures" / "{model}" / "{task}.log",
    benchmark:
        PATHS.benchmarks / "draw_figures" / "{model}" / "{task}.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(15),
    params:
        model_title=lambda wildcards: STUDY.model(wildcards.model).title,
        task_title=lambda wildcards: STUDY.task(wildcards.task).title,
        code=code_version("report/figures.py", "report/points.py", "report/words.py"),
    message:
        "Drawing the figures of {wildcards.task} on {wildcards.model}"
    script:
        "../scripts/draw_figures.py"


rule draw_base_instruct:
    input:
        base=lambda wildcards: PATHS.statistics / BASES[wildcards.model] / wildcards.task / "curves.parquet",
        tuned=PATHS.statistics / "{model}" / "{task}" / "curves.parquet",
    output:
        svg=shown("base_instruct"),
        png=PATHS.figures / "{model}" / "{task}" / "base_instruct.png",
    log:
        PATHS.logs / "draw_base_instruct" / "{model}" / "{task}.log",
    benchmark:
        PATHS.benchmarks / "draw_base_instruct" / "{model}" / "{task}.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(15),
    params:
        titles=lambda wildcards: [
            STUDY.model(BASES[wildcards.model]).title,
            STUDY.model(wildcards.model).title,
            STUDY.task(wildcards.task).title,
        ],
        code=code_version("report/figures.py", "report/points.py", "report/words.py"),
    message:
        "Drawing {wildcards.model} against its base on {wildcards.task}"
    script:
        "../scripts/draw_base_instruct.py"


DRAWN = {
    kind: each(*rules.draw_figures.output[kind])
    + expand(rules.draw_base_instruct.output[kind], model=BASES, task=TASKS)
    for kind in ("svg", "png")
}


rule write_tables:
    input:
        statistics=[PATHS.statistics / f"{table}.parquet" for table in STATISTICS],
        second_hand=SECOND_HAND,
    output:
        tables=[PATHS.tables / f"{table}.{kind}" for table in TABLES for kind in ("csv", "md", "tex")],
        metrics=PATHS.metrics,
    log:
        PATHS.logs / "write_tables.log",
    benchmark:
        PATHS.benchmarks / "write_tables.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        bases=BASES,
        code=code_version("report/tables.py", "report/metrics.py", "report/words.py"),
    message:
        "Writing the tables of the study"
    script:
        "../scripts/write_tables.py"


rule write_report:
    input:
        statistics=rules.write_tables.input.statistics,
        figures=DRAWN["svg"] + COMPARED_FIGURES["svg"],
        comparisons=[path for path in COMPARED if path.endswith(".parquet")],
        audits=AUDIT["table"],
        claims=[PATHS.claims / name for name in ("claims.parquet", "ledger.json", "controls.json", "examples.parquet")],
        diagnoses=MEASURED["diagnostics"],
        second_hand=SECOND_HAND,
        templates=sorted((CODE / "report" / "templates").iterdir()),
    output:
        PATHS.report / "index.html",
        PATHS.report / "method.html",
        PATHS.report / CLAIMS_PAGE,
        [PATHS.report / claim_page(claim) for claim in CLAIM_NAMES],
        [PATHS.report / task_page(task) for task in TASKS],
        [PATHS.report / COMPARISONS_PAGE] if COMPARISONS else [],
        [
            PATHS.report / "figures" / Path(path).relative_to(PATHS.figures).with_suffix(kind)
            for path in DRAWN["svg"] + COMPARED_FIGURES["svg"]
            for kind in (".svg", ".csv")
        ],
        [PATHS.report / "assets" / name for name in ASSETS],
    log:
        PATHS.logs / "write_report.log",
    benchmark:
        PATHS.benchmarks / "write_report.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        study=STUDY.model_dump(mode="json"),
        code=code_version("report"),
    message:
        "Writing the report of the study"
    script:
        "../scripts/write_report.py"
