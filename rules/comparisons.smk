"""Two models on a task, or two tasks on a model, side by side: only the pairs that the study has, none without any."""

# By the place of their files, which is one wildcard: no other pair, and none the other way round, has a job.
COMPARISONS = {comparison.place: comparison for comparison in STUDY.comparisons()}


wildcard_constraints:
    comparison="|".join(map(re.escape, COMPARISONS)),


def sides(pattern):
    """The path of a pattern for the one and for the other side of a comparison."""
    return lambda wildcards: [
        str(pattern).format(model=model, task=task) for model, task in COMPARISONS[wildcards.comparison].sides
    ]


def titles(wildcards):
    """Titles of the one, of the other, and of what both are on."""
    one, other, on, of_models = COMPARISONS[wildcards.comparison]
    compared, shared = (STUDY.model, STUDY.task) if of_models else (STUDY.task, STUDY.model)
    return [compared(one).title, compared(other).title, shared(on).title]


rule compare_pair:
    input:
        gradients=sides(tables(GRADIENTS)["gradients"]),
        samples=sides(tables(GRADIENTS)["samples"]),
        data=sides(rules.build_task.output.samples),
    output:
        multiext(str(PATHS.compared / "{comparison}"), ".parquet", ".csv"),
    log:
        PATHS.logs / "compare_pair" / "{comparison}.log",
    benchmark:
        PATHS.benchmarks / "compare_pair" / "{comparison}.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(15),
    params:
        labels=lambda wildcards: COMPARISONS[wildcards.comparison]._asdict(),
        code=code_version(*STATISTICS_CODE),
    message:
        "Comparing {wildcards.comparison}"
    script:
        "../scripts/compare_pair.py"


rule draw_comparison:
    input:
        rules.compare_pair.output[0],
    output:
        svg=[
            report(
                PATHS.compared_figures / "{comparison}" / f"{figure}.svg",
                caption=f"../layergrad/report/templates/figure_{figure}.rst",
                category="side by side",
                subcategory="{comparison}",
                labels={"figure": figure.replace("_", " ")},
            )
            for figure in COMPARISON_FIGURES
        ],
        png=[PATHS.compared_figures / "{comparison}" / f"{figure}.png" for figure in COMPARISON_FIGURES],
    log:
        PATHS.logs / "draw_comparison" / "{comparison}.log",
    benchmark:
        PATHS.benchmarks / "draw_comparison" / "{comparison}.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(15),
    params:
        titles=titles,
        code=code_version("report/figures.py", "report/points.py", "report/words.py"),
    message:
        "Drawing {wildcards.comparison}"
    script:
        "../scripts/draw_comparison.py"


COMPARED = expand(rules.compare_pair.output, comparison=COMPARISONS)
COMPARED_FIGURES = {kind: expand(rules.draw_comparison.output[kind], comparison=COMPARISONS) for kind in ("svg", "png")}
