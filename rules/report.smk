"""Statistics to results for people: figures, tables, the headline numbers, and pages with all of them."""

BASES = {model.name: model.base for model in STUDY.models if model.base in MODELS}
SECOND_HAND = CODE / "report" / "second_hand.csv"


rule draw_figures:
    input:
        curves=PATHS.statistics / "{model}" / "{task}" / "curves.parquet",
        differences=PATHS.statistics / "{model}" / "{task}" / "relative_difference_layers.parquet",
    output:
        svg=[
            report(
                PATHS.figures / "{model}" / "{task}" / f"{figure}.svg",
                caption=f"../layergrad/report/templates/figure_{figure}.rst",
                category="{model}",
                subcategory="{task}",
                labels={"figure": figure.replace("_", " ")},
            )
            for figure in FIGURES
        ],
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


DRAWN = {kind: each(*rules.draw_figures.output[kind]) for kind in ("svg", "png")}


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
