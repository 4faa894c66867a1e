"""Samples to gradients: one table a (model, task), measured in shards."""

SHARD = PATHS.shards / "{model}" / f"{{task}}.shard-{{shard}}-of-{STUDY.gradients.shards}"


def run_settings(wildcards):
    """How a model is run, and which projections are looked at."""
    model = STUDY.model(wildcards.model)
    return {
        "dtype": model.dtype,
        "attention": model.attention,
        "device": model.device,
        "device_map": model.device_map,
        "modules": model.modules.model_dump() if model.modules else None,
        "projections": STUDY.projections,
    }


def measurement(wildcards):
    """The settings that the numbers of a model depend on."""
    return run_settings(wildcards) | {
        "prompt": STUDY.model(wildcards.model).prompt,
        "paper_compat": STUDY.paper_compat,
        "max_length": STUDY.max_length,
        "extremes": STUDY.extremes,
        "similarity": STUDY.similarity,
        "batch_tokens": STUDY.gradients.batch_tokens,
    }


def minutes(wildcards):
    """Run time of a gradient job."""
    return estimate.job_minutes(STUDY, STUDY.model(wildcards.model), STUDY.task(wildcards.task))


def seconds(wildcards):
    """Estimated core-seconds of a gradient job. The longest start first, so that none is left to run alone at the end."""
    return estimate.job_seconds(STUDY, STUDY.model(wildcards.model), STUDY.task(wildcards.task))


rule diagnose_model:
    input:
        card=rules.prepare_model.output.card,
        weights=rules.fetch_weights.output[0],
    output:
        PATHS.diagnostics / "{model}.json",
    log:
        PATHS.logs / "diagnose_model" / "{model}.log",
    benchmark:
        PATHS.benchmarks / "diagnose_model" / "{model}.tsv"
    priority: SOON
    threads: STUDY.gradients.threads
    resources:
        mem_mb=growing(model_memory),
        runtime=growing(60),
        gpu=model_gpus,
    params:
        settings=run_settings,
        code=code_version(*MEASUREMENT, "gradients/checks.py", "gradients/diagnose.py", "models/memory.py"),
    message:
        "Diagnosing the measurement of {wildcards.model}"
    script:
        "../scripts/diagnose_model.py"


rule extract_gradients:
    input:
        card=rules.prepare_model.output.card,
        samples=rules.build_task.output.samples,
        # Not ancient: behind an ancient input Snakemake looks at no other reason of a job, and a change that both rules
        # have, as that of a dtype, would leave the old gradients. A newer diagnosis alone costs little, as what was
        # measured of the very same is taken over.
        diagnosis=rules.diagnose_model.output[0],
    output:
        **tables(SHARD),
    log:
        PATHS.logs / "extract_gradients" / "{model}" / "{task}.{shard}.log",
    benchmark:
        PATHS.benchmarks / "extract_gradients" / "{model}" / "{task}.{shard}.tsv"
    priority: seconds
    threads: STUDY.gradients.threads
    resources:
        mem_mb=growing(model_memory),
        runtime=growing(minutes),
        gpu=model_gpus,
    params:
        settings=measurement,
        prefix=lambda wildcards, output: output.gradients.removesuffix(".parquet"),
        parts=str(PATHS.parts / "{model}" / "{task}.{shard}"),
        shards=STUDY.gradients.shards,
        merged=str(GRADIENTS),
        controls=lambda wildcards: STUDY.model(wildcards.model).untrained_of is None,
        code=code_version(*MEASUREMENT),
    message:
        "Measuring the gradients of {wildcards.task} on {wildcards.model}, shard {wildcards.shard}"
    script:
        "../scripts/extract_gradients.py"


rule merge_gradients:
    input:
        expand(rules.extract_gradients.output, shard=SHARDS, allow_missing=True),
    output:
        **tables(GRADIENTS),
    log:
        PATHS.logs / "merge_gradients" / "{model}" / "{task}.log",
    benchmark:
        PATHS.benchmarks / "merge_gradients" / "{model}" / "{task}.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        shards=expand(SHARD, shard=SHARDS, allow_missing=True),
        prefix=str(GRADIENTS),
        max_failure_rate=STUDY.gradients.max_failure_rate,
        code=code_version("gradients/merge.py"),
    message:
        "Joining the gradients of {wildcards.task} on {wildcards.model}"
    script:
        "../scripts/merge_gradients.py"


# By phase, what measuring takes and leaves.
MEASURED = {
    "models": each(*rules.prepare_model.output),
    "diagnostics": each(*rules.diagnose_model.output),
    "shards": expand(rules.extract_gradients.output, model=MODELS, task=TASKS, shard=SHARDS),
    "gradients": each(*rules.merge_gradients.output),
}
