"""The phases: a manifest closes each of them, and a target names it (`snakemake --cores all gradients`).

`prefetch` is all that needs a network, for the login node of a cluster whose other nodes have none.
"""

PHASES = {
    "data": each(*rules.build_task.output),
    "gradients": each(*rules.merge_gradients.output),
    "statistics": each(*rules.compute_statistics.output) + list(rules.collect_statistics.output),
    "figures": each(*rules.draw_figures.output),
    "tables": list(rules.write_tables.output.tables),
    "report": list(rules.write_report.output),
}


rule write_manifest:
    input:
        lambda wildcards: PHASES[wildcards.phase],
    output:
        PATHS.root / "{phase}" / "MANIFEST.json",
    log:
        PATHS.logs / "write_manifest" / "{phase}.log",
    benchmark:
        PATHS.benchmarks / "write_manifest" / "{phase}.tsv"
    wildcard_constraints:
        phase="|".join(PHASES),
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    message:
        "Closing the phase {wildcards.phase}"
    script:
        "../scripts/write_manifest.py"


rule prefetch:
    input:
        each(*rules.fetch_sources.output, *rules.fetch_weights.output),


rule data:
    input:
        PATHS.data / "MANIFEST.json",


rule gradients:
    input:
        PATHS.gradients / "MANIFEST.json",


rule statistics:
    input:
        PATHS.statistics / "MANIFEST.json",


rule report:
    input:
        PATHS.figures / "MANIFEST.json",
        PATHS.tables / "MANIFEST.json",
        PATHS.report / "MANIFEST.json",
        PATHS.metrics,
