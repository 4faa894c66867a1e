"""The rows that samples are taken from, audited: what they are like, in a model's own tokens, without its weights."""


rule audit_task:
    input:
        pool=rules.build_task.output.pool,
        tokenizer=rules.prepare_model.output.tokenizer,
    output:
        table=PATHS.audit / "{model}" / "{task}.parquet",
        csv=PATHS.audit / "{model}" / "{task}.csv",
    log:
        PATHS.logs / "audit_task" / "{model}" / "{task}.log",
    benchmark:
        PATHS.benchmarks / "audit_task" / "{model}" / "{task}.tsv"
    threads: 1
    resources:
        mem_mb=growing(1500),
        runtime=growing(15),
    params:
        reading=lambda wildcards: {
            "prompt": STUDY.model(wildcards.model).prompt,
            "paper_compat": STUDY.paper_compat,
            "max_length": STUDY.max_length,
        },
        trust_remote_code=lambda wildcards: STUDY.model(wildcards.model).trust_remote_code,
        code=code_version("audit", "models/tokens.py"),
    message:
        "Auditing the rows of {wildcards.task} for {wildcards.model}"
    script:
        "../scripts/audit_task.py"


# A study of released statistics prepares no model, and so has no tokenizer.
AUDIT = {kind: [] if STUDY.released else each(rules.audit_task.output[kind]) for kind in ("table", "csv")}
