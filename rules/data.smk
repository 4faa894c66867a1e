"""Sources to samples: one table a task, and one of all that they are taken from."""


rule fetch_sources:
    input:
        lambda wildcards: local_files(*STUDY.task(wildcards.task).sources.values()),
    output:
        PATHS.sources / "{task}" / "SOURCES.json",
    log:
        PATHS.logs / "fetch_sources" / "{task}.log",
    benchmark:
        PATHS.benchmarks / "fetch_sources" / "{task}.tsv"
    priority: SOON
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(30),
    params:
        sources=lambda wildcards: STUDY.task(wildcards.task).model_dump(mode="json")["sources"],
        code=code_version("contracts/sources.py", "data/sources.py"),
    message:
        "Fetching the sources of {wildcards.task}"
    script:
        "../scripts/fetch_sources.py"


rule build_task:
    input:
        sources=rules.fetch_sources.output[0],
        tokenizer=PATHS.models / STUDY.length_tokenizer / "tokenizer.json" if STUDY.length_tokenizer else [],
    output:
        samples=PATHS.data / "{task}.parquet",
        pool=PATHS.data / "{task}.pool.parquet",
    log:
        PATHS.logs / "build_task" / "{task}.log",
    benchmark:
        PATHS.benchmarks / "build_task" / "{task}.tsv"
    priority: SOON
    threads: 1
    resources:
        mem_mb=growing(1500),
        runtime=growing(30),
    params:
        task=lambda wildcards: STUDY.task(wildcards.task).content().model_dump(mode="json"),
        templates=lambda wildcards: STUDY.template_texts(STUDY.task(wildcards.task)),
        seed=STUDY.seed,
        irrelevant=STUDY.irrelevant,
        controls=STUDY.controls,
        max_length=STUDY.max_length,
        code=code_version("data", "contracts/keys.py", "contracts/tables.py"),
    message:
        "Building the samples of {wildcards.task}"
    script:
        "../scripts/build_task.py"
