"""The authors' released statistics to gradients: the tables that measuring would give, and what was wrong in the files."""

from layergrad.released import importing, layout


rule import_released:
    input:
        samples=rules.build_task.output.samples,
        pool=rules.build_task.output.pool,
        released=lambda wildcards: RELEASED[wildcards.model, wildcards.task],
    output:
        **tables(GRADIENTS),
        problems=multiext(f"{GRADIENTS}.import", ".parquet", ".csv"),
    log:
        PATHS.logs / "import_released" / "{model}" / "{task}.log",
    benchmark:
        PATHS.benchmarks / "import_released" / "{model}" / "{task}.tsv"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        folder=STUDY.released,
        files=lambda wildcards: layout.files(STUDY.task(wildcards.task), STUDY.model(wildcards.model)),
        prefix=str(GRADIENTS),
        code=code_version(*importing.CODE),
    message:
        "Importing the released statistics of {wildcards.task} on {wildcards.model}"
    script:
        "../scripts/import_released.py"


# By phase, what takes the place of measuring: no model is prepared.
MEASURED = {"models": [], "diagnostics": [], "shards": [], "gradients": each(*rules.import_released.output)}
