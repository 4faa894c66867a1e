"""Token ids and the response's start, against a rendering of the description in a few lines."""

import pytest
from transformers import PreTrainedTokenizerFast

from layergrad.models.tokens import encode

INSTRUCTION, OUTPUT = "How many pens does Ana have?", "She has 7 pens.\nSo 7."
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TEMPLATE
)


@pytest.fixture
def with_bos(tokenizer):
    """The same tokenizer, putting a BOS before every text, as Llama's and Gemma's do."""
    from tokenizers.processors import TemplateProcessing

    copy = PreTrainedTokenizerFast.from_pretrained(tokenizer.name_or_path)
    processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", copy.bos_token_id)])
    copy.backend_tokenizer.post_processor = processor
    copy.chat_template = TEMPLATE
    return copy


def response_text(tokenizer, encoded):
    return tokenizer.decode(encoded.ids[encoded.start :])


def test_plain_prompt_is_instruction_newline_output(tokenizer):
    encoded = encode(tokenizer, INSTRUCTION, OUTPUT)
    assert tokenizer.decode(encoded.ids) == f"{INSTRUCTION}\n{OUTPUT}"
    assert response_text(tokenizer, encoded) == OUTPUT
    assert encoded.n_response == len(encoded.ids) - encoded.start
    assert not encoded.truncated


def test_plain_prompt_has_one_bos_where_the_tokenizer_uses_one(with_bos):
    encoded = encode(with_bos, INSTRUCTION, OUTPUT)
    assert encoded.ids.count(with_bos.bos_token_id) == 1
    assert encoded.ids[0] == with_bos.bos_token_id
    assert response_text(with_bos, encoded) == OUTPUT


def test_chat_has_one_bos_and_paper_compat_two(with_bos):
    clean = encode(with_bos, INSTRUCTION, OUTPUT, prompt="chat")
    paper = encode(with_bos, INSTRUCTION, OUTPUT, prompt="chat", paper_compat=True)
    assert clean.ids.count(with_bos.bos_token_id) == 1
    assert paper.ids == (with_bos.bos_token_id, *clean.ids)
    assert response_text(with_bos, paper) == response_text(with_bos, clean) == OUTPUT


def test_chat_has_a_system_turn_only_where_the_template_takes_one(with_bos):
    assert "<system>You are a helpful assistant." in with_bos.decode(
        encode(with_bos, INSTRUCTION, "x", prompt="chat").ids
    )
    with_bos.chat_template = NO_SYSTEM
    text = with_bos.decode(encode(with_bos, INSTRUCTION, "x", prompt="chat").ids)
    assert "<system>" not in text
    assert text.endswith(f"<user>{INSTRUCTION}\n<assistant>x")


def test_paper_compat_follows_the_released_procedure(tokenizer):
    """The paper's code: start is the length of the separately encoded text before the output."""
    text = f"{INSTRUCTION}\n{OUTPUT}"
    encoded = encode(tokenizer, INSTRUCTION, OUTPUT, paper_compat=True, max_length=25)
    assert list(encoded.ids) == tokenizer.encode(text)[:25]
    assert encoded.start == len(tokenizer.encode(text[: text.rfind(OUTPUT)]))
    assert encoded.truncated


def test_a_token_across_the_boundary_belongs_to_the_response(tokenizer):
    """Such as a merge of the newline with what follows it, which the separate encoding cannot see."""
    merged = encode(tokenizer, "two  ", " 3")
    assert merged.start <= len(tokenizer.encode("two  \n"))
    spans = tokenizer("two  \n 3", return_offsets_mapping=True).offset_mapping
    assert merged.start == [end > len("two  \n") for _, end in spans].index(True)


def test_truncation_can_leave_no_response(tokenizer):
    encoded = encode(tokenizer, INSTRUCTION, OUTPUT, max_length=5)
    assert encoded.truncated
    assert encoded.n_response == 0
    assert encode(tokenizer, INSTRUCTION, "").n_response == 0


def test_a_first_token_is_not_predicted(tokenizer):
    encoded = encode(tokenizer, "", "abc", paper_compat=True)
    assert encoded.n_response == len(encoded.ids) - encoded.start
