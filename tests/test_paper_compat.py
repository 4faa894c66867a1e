"""Token ids and masks of ``paper_compat`` against the released procedure, which a few lines here write down again."""

import json

import pytest
from conftest import ROOT
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from benchmarks.paper_compat import GEMMA_TEMPLATE
from layergrad.contracts.config.load import load_study
from layergrad.contracts.sources import fetch
from layergrad.models.load import ModelOrigin, load_tokenizer
from layergrad.models.tokens import encode

MAX_LENGTH = 1024
CHATML_TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OWN_ROWS = [
    {"instruction": "What is 12 * 12?", "output": "144"},
    {"instruction": " Begins and ends with white space.\n ", "output": "\n So does this. \n"},
    {"instruction": "A literal \\n and a sign: 中 é 🙂", "output": "No.\\nNo.\nThe final answer is No."},
    {"instruction": "Say yes, then yes.", "output": "yes"},
    {"instruction": "Is the output's text in the prompt, too? Paris", "output": "Paris"},
    {"instruction": "A special token: <|endoftext|><bos>", "output": "<|im_end|><end_of_turn> and on"},
    {"instruction": "Cut at the right.", "output": "Nineteen and a half. " * 400},
    {"instruction": "A prompt that fills the context. " * 400, "output": "Nothing of it is left."},
]


def released(tokenizer, row, prompt, system):
    """What the paper's code makes: token ids and labels, with -100 where there is no loss, before they are cut."""
    text = row["instruction"] + "\n" + row["output"]
    if prompt == "chat":
        turns = [{"role": "system", "content": "You are a helpful assistant."}] if system else []
        turns.append({"role": "user", "content": row["instruction"]})
        text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False) + row["output"]
    start = len(tokenizer.encode(text[: text.rfind(row["output"])]))
    ids = tokenizer.encode(text)
    return ids, [-100 if position < start else token for position, token in enumerate(ids)]


def assert_agreement(tokenizer, rows, prompt, system):
    """The same ids, and the loss at the same positions: those whose next label is not masked."""
    for row in rows:
        ids, labels = released(tokenizer, row, prompt, system)
        ours = encode(tokenizer, **row, prompt=prompt, paper_compat=True, max_length=MAX_LENGTH)
        assert list(ours.ids) == ids[:MAX_LENGTH], row
        assert [-100] * ours.start + list(ours.ids[ours.start :]) == labels[:MAX_LENGTH], row
        assert ours.n_response == sum(label != -100 for label in labels[1:MAX_LENGTH]), row
        assert ours.truncated == (len(ids) > MAX_LENGTH), row


def copy_of(tokenizer, template):
    copy = PreTrainedTokenizerFast.from_pretrained(tokenizer.name_or_path)
    copy.chat_template = template
    return copy


@pytest.fixture(scope="module")
def smollm_like(tokenizer):
    """The tokenizer of the miniature study, which adds no BOS, with a template that takes a system turn."""
    return copy_of(tokenizer, CHATML_TEMPLATE)


@pytest.fixture(scope="module")
def gemma_like(tokenizer):
    """The same with a BOS before every text, and a template that writes one too and takes no system turn."""
    copy = copy_of(tokenizer, GEMMA_TEMPLATE)
    bos = copy.bos_token
    copy.backend_tokenizer.post_processor = TemplateProcessing(f"{bos} $A", special_tokens=[(bos, copy.bos_token_id)])
    return copy


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    """The tokenizer of a model that a package registry carries, by the name of the model's file."""
    loaded = {}

    def load(name):
        if name not in loaded:
            study = load_study(ROOT / "config/config.yaml", {"models": [name], "length_tokenizer": name})
            (file,) = fetch(study.model(name).source, tmp_path_factory.mktemp("models") / name)
            loaded[name] = load_tokenizer(ModelOrigin.of(str(file)))
        return loaded[name]

    return load


@pytest.fixture(scope="module")
def paper_files(released_data):
    """Rows of the authors' 56 files by their names."""
    files = sorted(released_data.glob("*/*.json"))
    assert len(files) == 56
    fields = ("instruction", "output")
    return {file: [{name: row[name] for name in fields} for row in json.loads(file.read_text())] for file in files}


@pytest.mark.parametrize("prompt", ["plain", "chat"])
@pytest.mark.parametrize(("like", "system"), [("smollm_like", True), ("gemma_like", False)])
def test_own_rows(request, like, system, prompt):
    assert_agreement(request.getfixturevalue(like), OWN_ROWS, prompt, system)


def test_a_second_bos_only_where_template_and_tokenizer_both_write_one(gemma_like):
    row = OWN_ROWS[0]
    counts = {
        (prompt, paper_compat): encode(gemma_like, **row, prompt=prompt, paper_compat=paper_compat).ids.count(
            gemma_like.bos_token_id
        )
        for prompt in ("plain", "chat")
        for paper_compat in (True, False)
    }
    assert counts == {("plain", True): 1, ("plain", False): 1, ("chat", True): 2, ("chat", False): 1}


def test_own_rows_leave_nothing_out(gemma_like):
    """Of the cases above, one is cut, one has no response token left, one repeats its output in the prompt."""
    encoded = [encode(gemma_like, **row, prompt="chat", paper_compat=True) for row in OWN_ROWS]
    assert [ours.truncated for ours in encoded] == [False] * 6 + [True] * 2
    assert [ours.n_response > 0 for ours in encoded] == [True] * 7 + [False]
    assert OWN_ROWS[4]["output"] in OWN_ROWS[4]["instruction"]


@pytest.mark.slow
@pytest.mark.parametrize("prompt", ["plain", "chat"])
@pytest.mark.parametrize(
    ("name", "adds_bos", "template"),
    [("smollm2-135m-instruct", False, None), ("gemma-3-270m", True, GEMMA_TEMPLATE)],
)
def test_all_files_of_the_paper(packaged, paper_files, name, adds_bos, template, prompt):
    """Every row. Gemma 3's base model has no chat template, so it gets one like that of its tuned sister."""
    tokenizer = packaged(name)
    assert (tokenizer("").input_ids == [tokenizer.bos_token_id]) == adds_bos
    tokenizer.chat_template = template or tokenizer.chat_template
    for rows in paper_files.values():
        assert_agreement(tokenizer, rows, prompt, system=template is None)
    assert sum(map(len, paper_files.values())) == 54 * 500 + 2 * 454
