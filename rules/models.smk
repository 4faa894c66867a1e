"""Models made ready: weights that load at once, a tokenizer, and a card that says what they are."""


rule prepare_model:
    input:
        lambda wildcards: local_files(STUDY.model(wildcards.model).source, STUDY.model(wildcards.model).tokenizer),
    output:
        card=PATHS.models / "{model}" / "card.json",
        tokenizer=PATHS.models / "{model}" / "tokenizer.json",
    log:
        PATHS.logs / "prepare_model" / "{model}.log",
    benchmark:
        PATHS.benchmarks / "prepare_model" / "{model}.tsv"
    priority: SOON
    threads: 1
    resources:
        mem_mb=growing(model_memory),
        runtime=growing(60),
    params:
        model=lambda wildcards: STUDY.model(wildcards.model).model_dump(
            mode="json", include=set(ModelWeights.model_fields)
        ),
        folder=str(PATHS.models / "{model}"),
        code=code_version(*PREPARATION),
    message:
        "Preparing {wildcards.model}"
    script:
        "../scripts/prepare_model.py"


rule fetch_weights:
    input:
        card=rules.prepare_model.output.card,
    output:
        PATHS.weights / "{model}.json",
    log:
        PATHS.logs / "fetch_weights" / "{model}.log",
    benchmark:
        PATHS.benchmarks / "fetch_weights" / "{model}.tsv"
    priority: SOON
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(120),
    params:
        code=code_version("models/weights.py"),
    message:
        "Fetching the weights of {wildcards.model}"
    script:
        "../scripts/fetch_weights.py"
