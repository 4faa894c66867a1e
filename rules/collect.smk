"""The phases: a manifest closes each of them, and a target names it (`snakemake --cores all gradients`)."""

PHASES = {
    "sources": each(*rules.fetch_sources.output),
    "data": each(*rules.build_task.output),
    **MEASURED,
    "audit": AUDIT["table"] + AUDIT["csv"],
    "statistics": each(*rules.compute_statistics.output) + list(rules.collect_statistics.output),
    "claims": list(rules.evaluate_claims.output),
    "figures": DRAWN["svg"] + DRAWN["png"],
    "tables": list(rules.write_tables.output.tables),
    "report": list(rules.write_report.output),
}
# Their jobs declare no more than a file in a folder that is wholly theirs.
WHOLE_FOLDERS = ("sources", "models")


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
        mem_mb=500,
        runtime=10,
    params:
        whole=lambda wildcards: wildcards.phase in WHOLE_FOLDERS,
    message:
        "Closing the phase {wildcards.phase}"
    script:
        "../scripts/write_manifest.py"


rule data:
    input:
        PATHS.sources / "MANIFEST.json",
        PATHS.models / "MANIFEST.json",
        PATHS.data / "MANIFEST.json",


rule gradients:
    input:
        PATHS.diagnostics / "MANIFEST.json",
        PATHS.shards / "MANIFEST.json",
        PATHS.gradients / "MANIFEST.json",


rule audit:
    input:
        PATHS.audit / "MANIFEST.json",


rule statistics:
    input:
        PATHS.statistics / "MANIFEST.json",


rule claims:
    input:
        PATHS.claims / "MANIFEST.json",


rule report:
    input:
        PATHS.figures / "MANIFEST.json",
        PATHS.tables / "MANIFEST.json",
        PATHS.report / "MANIFEST.json",
        PATHS.metrics,
