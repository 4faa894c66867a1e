"""Statistics to results for people: figures, tables, the headline numbers, and one page with all of them."""


def caption(figure):
    """What a figure shows, for Snakemake's own report."""
    return f"../layergrad/report/templates/figure_{figure}.rst"


rule draw_figures:
    input:
        curves=PATHS.statistics / "{model}" / "{task}" / "curves.parquet",
        differences=PATHS.statistics / "{model}" / "{task}" / "relative_difference_layers.parquet",
    output:
        [
            report(
                PATHS.figures / "{model}" / "{task}" / f"{figure}.svg",
                caption=caption(figure),
                category="{model}",
                subcategory="{task}",
                labels={"figure": figure.replace("_", " ")},
            )
            for figure in FIGURES
        ],
        [PATHS.figures / "{model}" / "{task}" / f"{figure}.png" for figure in FIGURES],
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
        code=code_version("report/figures.py", "report/words.py"),
    message:
        "Drawing the figures of {wildcards.task} on {wildcards.model}"
    script:
        "../scripts/draw_figures.py"


rule write_tables:
    input:
        statistics=[PATHS.statistics / f"{table}.parquet" for table in STATISTICS],
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
        code=code_version("report/tables.py", "report/metrics.py", "report/words.py"),
    message:
        "Writing the tables of the study"
    script:
        "../scripts/write_tables.py"


rule write_report:
    input:
        statistics=rules.write_tables.input.statistics,
        figures=[path for path in each(*rules.draw_figures.output) if path.endswith(".svg")],
        templates=sorted(Path(workflow.basedir, "layergrad", "report", "templates").iterdir()),
    output:
        PATHS.report / "index.html",
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
