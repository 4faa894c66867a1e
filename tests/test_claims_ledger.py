"""The ledger as a whole: complete, on files, with every row it promises."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from synthetic_claims import Truth, study_of, table_of, verdicts_of
from synthetic_tables import KNOWLEDGE, REASONING, Task

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import read_json
from layergrad.contracts.keys import CONTROLS as KEYS_OF_CONTROLS
from layergrad.contracts.paths import CLAIM_NAMES, CLAIMS
from layergrad.contracts.tables import GRADIENTS, MEASURED_SAMPLES, SAMPLES, SIMILARITY, read_table, write_table
from layergrad.statistics.claims.controls import CONTROLS
from layergrad.statistics.claims.ledger import LEDGER
from layergrad.statistics.claims.responses import QUANTITIES, read_responses, read_texts
from layergrad.statistics.claims.verdicts import VERDICTS
from layergrad.statistics.claims.write import write_claims
from layergrad.statistics.measured import read_measured

NAMES = [f"C{i}" for i in range(1, 15)] + [f"B{i}" for i in range(1, 8)]


def test_every_claim_has_one_entry_that_says_all():
    assert [claim.name for claim in LEDGER] == NAMES == list(CLAIM_NAMES)
    for claim in LEDGER:
        for text in (claim.title, claim.statement, claim.source, claim.statistic, claim.cells, claim.direction):
            assert text, claim.name
        assert ("q < 0.05" in claim.rule) == (not claim.descriptive and not claim.missing)
        assert ("every cell is" in claim.rule) == claim.every


def test_every_measured_control_is_one_of_the_ledger():
    assert set(KEYS_OF_CONTROLS) <= {control.name for control in CONTROLS}
    for control in CONTROLS:
        assert set(control.keys.values()) <= {"none", control.name}


@pytest.mark.parametrize(
    ("claim", "there", "absent"),
    [
        ("C1", {"loss_scale", "length_law", "over_loss", "rank", "answer_only", "untrained"}, {"distinct_rows"}),
        ("C2", {"sqrt_loss_scale", "own_size", "answer_only"}, {"equal_length", "incorrect"}),
        ("C3", {"rank", "answer_only", "untrained"}, {"loss_scale", "length_law", "own_size"}),
        ("C5", {"distinct_rows", "equal_length", "irrelevant_shuffled", "irrelevant_deranged"}, {"answer_only"}),
        ("C5", {"incorrect", "cut_before_error", "cut_after_error"}, set()),
        ("C6", {"distinct_rows", "equal_length"}, {"incorrect", "cut_before_error", "answer_only"}),
        ("C9", {"loss_scale", "answer_only"}, {"untrained"}),
        ("B7", {"rank", "length_law", "answer_only"}, {"loss_scale", "over_loss"}),
    ],
)
def test_a_control_is_applied_where_it_means_something(claim, there, absent):
    entry = next(entry for entry in LEDGER if entry.name == claim)
    names = [control.name for control, _ in entry.tested()]
    assert names[0] == "none"
    assert there <= set(names)
    assert not absent & set(names)


ODD = 'od_d & 100 % "x"'


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Files of two tasks on a model and on its untrained twin, and the paths that ``write_claims`` takes."""
    folder = tmp_path_factory.mktemp("study")
    gradients, data = [], []
    for model, seed in (("tiny", 1), ("tiny-random", 2)):
        for task in (
            Task("puzzles", cells=REASONING, layers=8, seed=seed, scale={("none", "correct"): 4.0}),
            Task("wiki", "knowledge", KNOWLEDGE, layers=8, seed=seed),
        ):
            texts, samples, spectra = task.frames()
            texts["output"] = [f"{row.response} {row.sample_id}" for row in texts.itertuples()]
            path = folder / "gradients" / model / f"{task.name}.parquet"
            write_table(texts, folder / "data" / f"{task.name}.parquet", SAMPLES, {})
            write_table(samples, path.with_suffix(".samples.parquet"), MEASURED_SAMPLES, {})
            write_table(spectra, path, GRADIENTS, {"model": model})
            write_table(cosines_of(spectra, seed), path.with_suffix(".similarity.parquet"), SIMILARITY, {})
            gradients.append(path)
    data = [folder / "data" / f"{name}.parquet" for name in ("puzzles", "wiki")]
    return {
        "gradients": gradients,
        "data": data,
        "models": [{"name": "tiny"}, {"name": "tiny-random", "untrained_of": "tiny"}],
        "title": ODD,
        "similarity": True,
    }


def cosines_of(spectra, seed):
    """Cosines of q with o alone, of standard deviation 0.01."""
    q = spectra.query("projection == 'q'")
    cosine = np.random.default_rng(seed).normal(0, 0.01, len(q))
    table = q.assign(kind="qo", cosine=cosine, reason=None)
    return table[[name for name in SIMILARITY.names if name in table]]


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("claims")
    write_claims(**study, folder=folder)
    return folder


def test_all_files_are_there_and_a_second_time_the_same(study, written, tmp_path):
    assert sorted(path.name for path in written.iterdir()) == sorted(CLAIMS)
    write_claims(**study, folder=tmp_path)
    for name in CLAIMS:
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes(), name


def test_the_table_has_every_claim_with_every_control(written):
    table = read_table(written / "claims.parquet")
    total = table[table["level"] == "overall"]
    expected = [(claim.name, control.name) for claim in LEDGER for control, _ in claim.tested() or [(CONTROLS[0], [])]]
    assert list(zip(total["claim"], total["control"], strict=True)) == expected
    assert set(table["verdict"]) <= set(VERDICTS)
    assert (table.loc[table["verdict"] == "not evaluable", "reason"] != "").all()
    cells = table[(table["level"] == "cell") & table["verdict"].isin(["supported", "refuted"])]
    assert (cells["q"] < 0.05).all()
    assert len(pd.read_csv(written / "claims.csv")) == len(table)


def test_programs_find_the_same_numbers_in_the_nested_form(written):
    table = read_table(written / "claims.parquet").query("claim == 'C1' and control == 'rank' and level == 'cell'")
    cells = read_json(written / "claims.json")["C1"]["controls"]["rank"]["cells"]
    assert [cell["estimate"] for cell in cells] == pytest.approx(table["estimate"].tolist(), rel=1e-5)
    json.loads((written / "claims.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def test_what_a_study_has_not_is_not_evaluable_with_the_reason(written):
    total = read_table(written / "claims.parquet").query("level == 'overall' and control == 'none'").set_index("claim")
    reasons = {"C8": "base", "C9": "base", "B1": "follow-up's data", "B4": "follow-up's data", "B5": "two sizes"}
    for claim, words in reasons.items():
        assert total.loc[claim, "verdict"] == "not evaluable"
        assert words in total.loc[claim, "reason"]
    assert total.loc[["C12", "C13", "C14"], "verdict"].tolist() == ["descriptive"] * 3


def test_the_untrained_twin_is_a_control_and_no_model_of_its_own(written):
    table = read_table(written / "claims.parquet").query("level == 'cell' and claim == 'C1'")
    assert set(table["model"]) == {"tiny"}
    plain, untrained = (table.query("control == @name") for name in ("none", "untrained"))
    assert plain["contrast"].tolist() == untrained["contrast"].tolist()
    assert len(plain) == 8
    assert not np.isclose(plain["estimate"], untrained["estimate"]).any()


def test_cosines_near_zero_support_their_claim(written):
    table = read_table(written / "claims.parquet").query("claim == 'B6' and control == 'none' and level == 'cell'")
    assert set(table["projection"]) == {"q"}
    assert (table["verdict"] == "supported").all()
    assert len(table) == 7 + 3 + 8 + 4  # responses of both tasks, and irrelevant less correct ones


def test_words_for_people_are_escaped(written):
    assert "od\\_d" in (written / "summary.md").read_text()
    latex = (written / "claims.tex").read_text()
    assert latex.count(r"\\") > len(LEDGER)
    assert all(claim.name in latex for claim in LEDGER)
    assert "%" not in latex.replace(r"\%", "")


def test_metrics_are_the_verdicts_and_their_counts(written):
    metrics = read_json(written / "verdicts.json")
    total = read_table(written / "claims.parquet").query("level == 'overall'").set_index(["claim", "control"])
    assert {(c, k): v for c, by in metrics["verdicts"].items() for k, v in by.items()} == total["verdict"].to_dict()
    assert sum(metrics["counts"].values()) == len(LEDGER)


def responses_of(paths):
    return read_responses(paths["gradients"], paths["samples"], read_texts(paths["data"]))


def test_the_ledger_reads_what_the_statistics_read(tmp_path):
    task = Task(cells={("none", "correct"): 6, ("none", "irrelevant"): 5, ("detailed", "correct"): 4}, layers=7)
    paths = task.write(tmp_path)
    _, samples, spectra = task.frames()
    one = (samples["variant"] == "none") & (samples["response"] == "correct")
    samples.loc[one & (samples["sample_id"] == f"{1:016x}"), ["status", "reason"]] = ["failed", "out of memory"]
    samples.loc[one & (samples["sample_id"] == f"{2:016x}"), "loss"] = np.nan
    same = (spectra["variant"] == "none") & (spectra["response"] == "correct")
    spectra = spectra[~(same & (spectra["sample_id"] == f"{1:016x}"))].reset_index(drop=True)
    broken = (spectra["variant"] == "none") & (spectra["sample_id"] == f"{3:016x}") & (spectra["layer"] == 4)
    spectra.loc[broken & (spectra["response"] == "correct"), "nuclear_norm"] = np.inf
    write_table(samples, paths["samples"], MEASURED_SAMPLES, {})
    write_table(spectra, paths["gradients"], GRADIENTS, {})
    measured, found = read_measured(**paths), responses_of(paths)
    assert found.groups["none", "correct", "none"].units.tolist() == [0, 4, 5]
    for quantity in QUANTITIES:
        truth = measured.values(quantity)
        for (variant, response, control), group in found.groups.items():
            rows = truth.xs((variant, response, control), level=["variant", "response", "control"])
            told = rows.to_numpy().reshape(len(rows), len(found.projections), 7)
            assert group.values[quantity] == pytest.approx(told, rel=1e-6)
    used = measured.responses.query("outcome == 'used' and variant == 'detailed'")
    assert found.groups["detailed", "correct", "none"].loss == pytest.approx(used["loss"])


def test_replicates_of_a_sample_are_averaged(tmp_path):
    task = Task(cells={("none", "correct"): 4}, layers=3)
    frames = [pd.concat([frame, frame.query("sample_id == @first").assign(replicate=1)]) for frame in task.frames()]
    frames[2].loc[frames[2]["replicate"] == 1, "nuclear_norm"] *= 3
    paths = task.write(tmp_path)
    for name, frame, schema in zip(("data", "samples", "gradients"), frames, SCHEMAS, strict=True):
        write_table(frame, paths[name], schema, {})
    single = task.frames()[2].query("sample_id == @first and projection == 'q'")["nuclear_norm"].to_numpy()
    found = responses_of(paths).groups["none", "correct", "none"]
    assert found.values["nuclear_norm"].shape == (4, 4, 3)
    assert found.values["nuclear_norm"][0, 0] == pytest.approx(2 * single, rel=1e-6)


SCHEMAS = (SAMPLES, MEASURED_SAMPLES, GRADIENTS)
first = f"{0:016x}"


def test_tables_that_do_not_belong_together_are_an_error_in_one_line(tmp_path):
    task = Task(cells={("none", "correct"): 4}, layers=3)
    paths = task.write(tmp_path)
    write_table(task.frames()[2].iloc[1:], paths["gradients"], GRADIENTS, {})
    with pytest.raises(UserError, match="not those of the responses measured") as error:
        responses_of(paths)
    assert "\n" not in str(error.value)


def test_a_templated_variant_is_shown_and_not_judged():
    truth = dataclasses.replace(Truth(scale={("none", "correct"): 3.0}), templated=frozenset({"detailed"}))
    table = table_of(study_of(np.random.default_rng(0), puzzles=truth), "C1").query("control == 'none'")
    cells = table[table["level"] == "cell"].set_index("contrast")
    assert set(cells.loc["simplified over detailed", "verdict"]) == {"descriptive"}
    assert cells.loc["simplified over detailed", "estimate"].notna().all()
    assert cells.loc["simplified over detailed", "q"].isna().all()
    assert table.set_index("level").loc["overall", "verdict"] == "supported"


def test_what_is_compared_elsewhere_does_not_depend_on_what_else_is_in_the_study():
    rng = np.random.default_rng(5)
    one, other = Truth().draw(rng), Truth().draw(rng)
    alone, both = study_of(rng, a=Truth()), study_of(rng, a=Truth(), b=Truth())
    alone.responses["tiny", "a"] = both.responses["tiny", "a"] = one
    both.responses["tiny", "b"] = other
    columns = ["contrast", "projection", "estimate", "low", "high", "p"]
    told = [
        table_of(evidence, "C1").query("control == 'none' and level == 'cell' and task == 'a'")[columns]
        for evidence in (alone, both)
    ]
    pd.testing.assert_frame_equal(*(part.reset_index(drop=True) for part in told))
    assert not math.isnan(told[0]["p"].iloc[0])


def test_base_and_tuned_models_are_compared_on_the_samples_of_both():
    models = {"big-7b": {}, "big-7b-it": {"base": "big-7b"}}
    groups = tuple((v, r) for v in ("none", "simplified", "detailed") for r in ("correct", "irrelevant"))
    evidence = study_of(np.random.default_rng(1), models, puzzles=Truth(groups, spread=0.1))
    louder = Truth(groups, spread=0.1, scale={("none", "correct"): 1.5, ("simplified", "correct"): 1.5})
    evidence.responses["big-7b-it", "puzzles"] = louder.draw(np.random.default_rng(2))
    told = verdicts_of(evidence, "C8", "C9")
    assert told["C9", "none"] == "supported"
    assert told["C8", "none"] == "supported"
    cells = table_of(evidence, "C9").query("control == 'none' and level == 'cell'").set_index("model")
    assert cells.loc["big-7b", "reason"].str.contains("no base model").tolist() == [True] * 4
    assert cells.loc["big-7b-it", "estimate"].to_numpy() == pytest.approx(math.log(1.5), abs=0.2)
