"""The claims ledger: every claim of the paper, tested on all gradients of the study at once. No torch."""


rule evaluate_claims:
    input:
        **{name: each(path) for name, path in tables(GRADIENTS).items()},
        data=each(rules.build_task.output.samples),
    output:
        [PATHS.claims / name for name in CLAIMS],
    log:
        PATHS.logs / "evaluate_claims.log",
    benchmark:
        PATHS.benchmarks / "evaluate_claims.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000 + 50 * len(MODELS) * len(TASKS)),
        runtime=growing(15),
    params:
        models=[
            model.model_dump(mode="json", include={"name", "base", "untrained_of", "segments"})
            for model in STUDY.models
        ],
        title=STUDY.title,
        seed=STUDY.seed,
        similarity=STUDY.similarity,
        code=code_version("statistics"),
    message:
        "Evaluating the claims of the paper"
    script:
        "../scripts/evaluate_claims.py"
