"""The phases: a manifest closes each of them, and a target names it (`snakemake --cores all gradients`).

`prefetch` is all that needs a network, for the login node of a cluster whose other nodes have none.
"""

PHASES = {
    "sources": each(*rules.fetch_sources.output),
    "data": each(*rules.build_task.output),
    **MEASURED,
    "audit": AUDIT["table"] + AUDIT["csv"],
    "statistics": each(*rules.compute_statistics.output) + list(rules.collect_statistics.output) + COMPARED,
    "claims": list(rules.evaluate_claims.output),
    "figures": DRAWN["svg"] + DRAWN["png"] + COMPARED_FIGURES["svg"] + COMPARED_FIGURES["png"],
    "tables": list(rules.write_tables.output.tables),
    "report": list(rules.write_report.output),
}
# Their jobs declare no more than a file in a folder that is wholly theirs.
WHOLE_FOLDERS = ("sources", "models")


def closed(*phases):
    """The manifests of phases; of one that has no files there is none."""
    return [PATHS.root / phase / "MANIFEST.json" for phase in phases if PHASES[phase]]


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
    params:
        whole=lambda wildcards: wildcards.phase in WHOLE_FOLDERS,
    message:
        "Closing the phase {wildcards.phase}"
    script:
        "../scripts/write_manifest.py"


rule prefetch:
    input:
        each(*rules.fetch_sources.output, *rules.fetch_weights.output),


rule data:
    input:
        closed("sources", "models", "data"),


rule gradients:
    input:
        closed("diagnostics", "shards", "gradients"),


rule audit:
    input:
        closed("audit"),


rule statistics:
    input:
        closed("statistics"),


rule claims:
    input:
        closed("claims"),


rule report:
    input:
        closed("figures", "tables", "report"),
        PATHS.metrics,
