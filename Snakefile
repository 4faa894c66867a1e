"""What fast and slow thinking do to the layers of a language model: from sources to a report.

    sources -> samples -> gradients -> statistics, claims -> tables, figures, report

`snakemake --cores all` runs the default study, `--configfile` another one. A rule, its script in scripts/ and its log
share a name; the scripts are thin, and what they call is in the package layergrad/.
"""

from snakemake.utils import min_version

min_version("9.0")


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/released.smk" if STUDY.released else "rules/gradients.smk"
include: "rules/audit.smk"
include: "rules/statistics.smk"
include: "rules/comparisons.smk"
include: "rules/claims.smk"
include: "rules/report.smk"
include: "rules/collect.smk"


onstart:
    start_run()


rule all:
    default_target: True
    input:
        rules.data.input,
        rules.gradients.input,
        rules.audit.input,
        rules.statistics.input,
        rules.claims.input,
        rules.report.input,
