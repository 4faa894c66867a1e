"""Gradients to statistics: a few small tables a (model, task), then those of the whole study. No torch."""

# All of the floor but the claims, which no statistic depends on.
STATISTICS_CODE = [
    f"statistics/{path.name}"
    for path in sorted((CODE / "statistics").iterdir())
    if path.name not in ("claims", "__pycache__")
]


rule compute_statistics:
    input:
        gradients=tables(GRADIENTS)["gradients"],
        samples=tables(GRADIENTS)["samples"],
        data=rules.build_task.output.samples,
    output:
        [
            PATHS.statistics / "{model}" / "{task}" / f"{table}.{kind}"
            for table in STATISTICS
            for kind in ("parquet", "csv")
        ],
    log:
        PATHS.logs / "compute_statistics" / "{model}" / "{task}.log",
    benchmark:
        PATHS.benchmarks / "compute_statistics" / "{model}" / "{task}.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(15),
    params:
        model=lambda wildcards: STUDY.model(wildcards.model).model_dump(mode="json", include={"name", "segments"}),
        seed=STUDY.seed,
        noisy_above=STUDY.noisy_above,
        code=code_version(*STATISTICS_CODE),
    message:
        "Computing the statistics of {wildcards.task} on {wildcards.model}"
    script:
        "../scripts/compute_statistics.py"


rule collect_statistics:
    input:
        each(*[PATHS.statistics / "{model}" / "{task}" / f"{table}.parquet" for table in STATISTICS]),
    output:
        [PATHS.statistics / f"{table}.{kind}" for table in STATISTICS for kind in ("parquet", "csv")],
    log:
        PATHS.logs / "collect_statistics.log",
    benchmark:
        PATHS.benchmarks / "collect_statistics.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=code_version(*STATISTICS_CODE),
    message:
        "Collecting the statistics of the study"
    script:
        "../scripts/collect_statistics.py"
