"""The gradient job: parts, shards, failures and resuming, on the tiny model in files."""

import hashlib
import json
import shutil

import pandas as pd
import pytest
import torch
from tokenizers import normalizers
from transformers import AutoTokenizer

from layergrad.contracts.errors import UserError
from layergrad.contracts.keys import sample_id
from layergrad.contracts.tables import read_facts, read_table
from layergrad.gradients import extract as job
from layergrad.gradients import loading
from layergrad.gradients.batches import plan_batches
from layergrad.gradients.extract import extract
from layergrad.gradients.measure import Measurer
from layergrad.gradients.merge import find_shards, merge, refuse_failures
from layergrad.gradients.settings import WHOLE, Settings, Shard
from layergrad.models.load import ModelOrigin, origin_facts
from layergrad.models.tokens import EncodedResponse


@pytest.fixture
def samples(root):
    rows = [json.loads(line) for line in (root / "tests/data/mini_math.jsonl").read_text().splitlines()][:5]
    return pd.DataFrame(
        [
            {
                "task": "mini",
                "sample_id": sample_id("mini", row["question"]),
                "variant": variant,
                "response": "correct",
                "replicate": 0,
                "control": "none",
                "instruction": row["question"],
                "output": row[field],
            }
            for row in rows
            for variant, field in (("none", "answer"), ("detailed", "detailed"))
        ]
    )


def run(samples, folder, prefix, shard=WHOLE, **settings):
    origin = ModelOrigin.of(str(folder))
    extract(samples, origin, origin_facts(origin), Settings(**settings), prefix, f"{prefix}.parts", shard)


def digest(prefix):
    return [hashlib.sha256(open(f"{prefix}{end}", "rb").read()).hexdigest() for end in (".parquet", ".samples.parquet")]


def test_shards_merge_to_the_bytes_of_one_job(samples, tiny_model_folder, tmp_path):
    run(samples, tiny_model_folder, tmp_path / "whole")
    for index in (1, 2, 3):
        shard = Shard(index, 3)
        run(samples, tiny_model_folder, f"{tmp_path / 'cut'}{shard.suffix}", shard)
    merge(find_shards(str(tmp_path / "cut")), tmp_path / "cut")
    assert digest(tmp_path / "whole") == digest(tmp_path / "cut")
    table = read_table(tmp_path / "whole.parquet")
    assert len(table) == len(samples) * 3 * 4
    assert read_facts(tmp_path / "whole.parquet")["settings"]["dtype"] == "float32"
    assert not list(tmp_path.glob("*.parts"))


def test_a_job_that_was_interrupted_goes_on_where_it_stopped(samples, tiny_model_folder, tmp_path, monkeypatch):
    run(samples, tiny_model_folder, tmp_path / "undisturbed")
    measured = []
    measure = Measurer.measure

    def measure_two(self, batch):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(batch)
        return measure(self, batch)

    monkeypatch.setattr(Measurer, "measure", measure_two)
    with pytest.raises(KeyboardInterrupt):
        run(samples, tiny_model_folder, tmp_path / "resumed")
    again = []
    monkeypatch.setattr(Measurer, "measure", lambda self, batch: again.append(batch) or measure(self, batch))
    run(samples, tiny_model_folder, tmp_path / "resumed")
    assert sum(map(len, again)) == len(samples) - sum(map(len, measured))
    assert digest(tmp_path / "undisturbed") == digest(tmp_path / "resumed")


def test_parts_of_other_settings_and_torn_parts_are_not_used(samples, tiny_model_folder, tmp_path, monkeypatch):
    run(samples, tiny_model_folder, tmp_path / "truth", max_length=60)
    monkeypatch.setattr(job.Parts, "remove", lambda self: None)
    run(samples, tiny_model_folder, tmp_path / "g")
    for part in list((tmp_path / "g.parts").rglob("*.parquet"))[:3]:
        part.write_bytes(part.read_bytes()[:100])
    first = digest(tmp_path / "g")
    run(samples, tiny_model_folder, tmp_path / "g")
    assert digest(tmp_path / "g") == first
    run(samples, tiny_model_folder, tmp_path / "g", max_length=60)
    assert digest(tmp_path / "g") == digest(tmp_path / "truth")


def test_failures_are_rows_with_a_reason(samples, tiny_model_folder, tmp_path):
    samples.loc[0, "instruction"] = "pens " * 400
    run(samples, tiny_model_folder, tmp_path / "g", max_length=200)
    table = read_table(tmp_path / "g.samples.parquet").set_index("sample_id")
    failed = table[table["status"] == "failed"]
    assert len(failed) == 1
    assert failed["reason"].iloc[0].startswith("no response token left")
    assert failed["truncated"].all()
    gradients = read_table(tmp_path / "g.parquet")
    assert len(gradients) == (len(samples) - 1) * 12
    with pytest.raises(UserError, match="1 of 10 samples failed, at most 5% may"):
        refuse_failures(table, "g", 0.05)
    refuse_failures(table, "g", 0.1)


def test_too_many_failures_write_nothing(samples, tiny_model_folder, tmp_path):
    run(samples, tiny_model_folder, tmp_path / "g", max_length=3)
    with pytest.raises(UserError, match="10 of 10 samples failed"):
        merge([str(tmp_path / "g")], tmp_path / "merged")
    assert not list(tmp_path.glob("merged*"))


def test_foreign_and_missing_shards_are_refused(samples, tiny_model_folder, tmp_path):
    for index, length in ((1, 1024), (2, 60)):
        shard = Shard(index, 2)
        run(samples, tiny_model_folder, f"{tmp_path / 'g'}{shard.suffix}", shard, max_length=length)
    with pytest.raises(UserError, match="made from another model, samples, settings or code"):
        merge(find_shards(str(tmp_path / "g")), tmp_path / "g")
    (tmp_path / "g.shard-1-of-2.samples.parquet").unlink()
    with pytest.raises(UserError, match=r"missing or of another number: g.shard-1-of-2"):
        find_shards(str(tmp_path / "g"))


def test_a_loss_that_is_not_finite_is_a_failed_sample(samples, tiny_model, tokenizer, tmp_path):
    model = tiny_model().float()
    model.model.layers[1].mlp.down_proj.weight.data *= 1e38
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    run(samples, tmp_path, tmp_path / "g")
    table = read_table(tmp_path / "g.samples.parquet")
    assert (table["status"] == "failed").all()
    assert table["reason"].str.startswith("the loss is not finite").all()


def test_a_shard_without_rows_is_an_empty_table(samples, tiny_model_folder, tmp_path):
    run(samples.head(2), tiny_model_folder, tmp_path / "g", Shard(3, 3))
    assert len(read_table(tmp_path / "g.parquet")) == len(read_table(tmp_path / "g.samples.parquet")) == 0


def test_the_model_is_loaded_once_and_takes_its_threads(samples, tiny_model_folder, tmp_path, monkeypatch):
    load, loaded = loading.load_model, []
    monkeypatch.setattr(loading, "load_model", lambda *given: loaded.append(torch.get_num_threads()) or load(*given))
    run(samples, tiny_model_folder, tmp_path / "g", threads=2)
    run(samples, tiny_model_folder, tmp_path / "g", threads=1)
    assert loaded == [2, 1]
    assert read_facts(tmp_path / "g.parquet")["settings"]["threads"] == 1


def test_the_modules_own_names_stand_in_the_metadata(samples, tiny_model_folder, tmp_path):
    run(samples.head(1), tiny_model_folder, tmp_path / "g")
    names = {name: f"model.layers.*.self_attn.{name}_proj" for name in "qkvo"}
    assert read_facts(tmp_path / "g.parquet")["modules"] == names


def short_of_memory(tokens, sizes=None):
    """Measure only single samples of at most so many tokens; whatever is tried is noted in ``sizes``."""
    measure = Measurer.measure

    def measure_or_not(self, batch):
        if sizes is not None:
            sizes.append(len(batch))
        if len(batch) > 1 or len(batch[0].ids) > tokens:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return measure(self, batch)

    return measure_or_not


def test_out_of_memory_halves_a_batch_and_at_one_sample_is_its_failure(
    samples, tiny_model_folder, tmp_path, monkeypatch
):
    run(samples, tiny_model_folder, tmp_path / "truth", batch_tokens=1)
    sizes = []
    monkeypatch.setattr(Measurer, "measure", short_of_memory(100, sizes))
    run(samples, tiny_model_folder, tmp_path / "g")
    table = read_table(tmp_path / "g.samples.parquet")
    reasons = table["reason"].dropna()
    assert max(sizes) > 2
    assert 0 < len(reasons) < len(samples)
    assert reasons.str.match(r"out of memory on \d+ tokens").all()
    ok = table["status"] == "ok"
    pd.testing.assert_frame_equal(table[ok], read_table(tmp_path / "truth.samples.parquet")[ok])


def test_batches_fill_a_budget_of_padded_tokens():
    lengths = [5, 90, 30, 31, 32, 200, 33, 7, 6]
    encoded = [EncodedResponse(tuple(range(n)), 2, truncated=False) for n in lengths]
    batches = plan_batches(encoded, 100)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert [[lengths[row] for row in batch] for batch in batches] == [[200], [90], [33, 32, 31], [30, 7, 6], [5]]
    assert [len(batch) for batch in plan_batches(encoded, 1)] == [1] * len(lengths)


def test_numbers_do_not_depend_on_the_batches(samples, tiny_model_folder, tmp_path):
    for tokens in (1, 300, 4000):
        run(samples, tiny_model_folder, tmp_path / f"{tokens}", batch_tokens=tokens)
    alone = read_table(tmp_path / "1.parquet")
    for tokens in (300, 4000):
        batched = read_table(tmp_path / f"{tokens}.parquet")
        pd.testing.assert_frame_equal(alone, batched, rtol=1e-4, atol=1e-7)


def test_rows_of_the_same_tokens_are_measured_once(samples, tiny_model_folder, tmp_path, monkeypatch):
    twins = samples.assign(response="irrelevant")  # word for word the correct responses
    run(samples, tiny_model_folder, tmp_path / "alone")
    measured = []
    measure = Measurer.measure
    monkeypatch.setattr(Measurer, "measure", lambda self, batch: measured.extend(batch) or measure(self, batch))
    run(pd.concat([samples, twins], ignore_index=True), tiny_model_folder, tmp_path / "both")
    assert len(measured) == len(samples)
    both = read_table(tmp_path / "both.parquet")
    for response in ("correct", "irrelevant"):
        rows = both[both["response"] == response].assign(response="correct").reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, read_table(tmp_path / "alone.parquet"))


def test_the_same_tokens_with_another_start_are_measured_apart():
    ids = tuple(range(9))
    encoded = [EncodedResponse(ids, start, truncated=False) for start in (2, 5, 2)]
    assert plan_batches(encoded, 1) == [[0, 2], [1]]
    assert plan_batches(encoded, 18) == [[0, 2, 1]]


def test_an_earlier_run_of_the_very_same_is_taken_whatever_its_shards(
    samples, tiny_model_folder, tmp_path, monkeypatch
):
    run(samples, tiny_model_folder, tmp_path / "earlier")
    monkeypatch.setattr(job, "load_measurer", lambda *given: pytest.fail("a model was loaded"))
    origin = ModelOrigin.of(str(tiny_model_folder))
    given = (samples, origin, origin_facts(origin), Settings())
    for index in (1, 2):
        shard = Shard(index, 2)
        prefix = f"{tmp_path / 'again'}{shard.suffix}"
        extract(*given, prefix, tmp_path / "parts", shard, earlier=tmp_path / "earlier")
    merge(find_shards(str(tmp_path / "again")), tmp_path / "again")
    assert digest(tmp_path / "again") == digest(tmp_path / "earlier")


def test_failures_that_lie_in_the_sample_are_not_tried_again(samples, tiny_model_folder, tmp_path, monkeypatch):
    samples.loc[0, "instruction"] = "pens " * 600
    run(samples, tiny_model_folder, tmp_path / "earlier")
    monkeypatch.setattr(job, "load_measurer", lambda *given: pytest.fail("a model was loaded"))
    origin = ModelOrigin.of(str(tiny_model_folder))
    given = (samples, origin, origin_facts(origin), Settings(), tmp_path / "again", tmp_path / "parts")
    extract(*given, earlier=tmp_path / "earlier")
    assert (read_table(tmp_path / "again.samples.parquet")["status"] == "failed").sum() == 1
    assert digest(tmp_path / "again") == digest(tmp_path / "earlier")


def test_nothing_measured_with_another_tokenizer_is_used(samples, tiny_model_folder, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_folder, folder)
    other = AutoTokenizer.from_pretrained(folder)
    other.backend_tokenizer.normalizer = normalizers.Replace("e", "E")
    other.save_pretrained(folder)
    monkeypatch.setattr(job.Parts, "remove", lambda self: None)
    run(samples, folder, tmp_path / "other")
    shutil.copytree(tiny_model_folder, folder, dirs_exist_ok=True)
    run(samples, folder, tmp_path / "truth")
    origin = ModelOrigin.of(str(folder))
    given = (samples, origin, origin_facts(origin), Settings(), tmp_path / "g", tmp_path / "other.parts")
    extract(*given, earlier=tmp_path / "other")
    assert digest(tmp_path / "other") != digest(tmp_path / "truth") == digest(tmp_path / "g")


@pytest.mark.parametrize("what", ["missing", "damaged", "other settings", "other samples", "out of memory"])
def test_an_earlier_run_of_anything_else_is_not_taken(samples, tiny_model_folder, tmp_path, monkeypatch, what):
    earlier = tmp_path / "earlier"
    before = samples.copy()
    if what == "other samples":
        before.loc[0, "output"] += " indeed"
    if what == "out of memory":
        with monkeypatch.context() as machine:
            machine.setattr(Measurer, "measure", short_of_memory(100))
            run(samples, tiny_model_folder, earlier)
    elif what != "missing":
        run(before, tiny_model_folder, earlier, max_length=100 if what == "other settings" else 1024)
    if what == "damaged":
        path = tmp_path / "earlier.samples.parquet"
        path.write_bytes(path.read_bytes()[:200])
    run(samples, tiny_model_folder, tmp_path / "truth")
    origin = ModelOrigin.of(str(tiny_model_folder))
    given = (samples, origin, origin_facts(origin), Settings(), tmp_path / "g", tmp_path / "parts")
    load, loaded = job.load_measurer, []
    monkeypatch.setattr(job, "load_measurer", lambda *given: loaded.append(given) or load(*given))
    extract(*given, earlier=earlier)
    assert len(loaded) == 1
    assert digest(tmp_path / "g") == digest(tmp_path / "truth")
