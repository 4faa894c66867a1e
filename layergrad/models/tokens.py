"""From a prompt and a response to token ids, and which of them are the response."""

from dataclasses import dataclass

import jinja2
from transformers import PreTrainedTokenizerBase

from layergrad.contracts.errors import UserError

SYSTEM_TURN = "You are a helpful assistant."


@dataclass(frozen=True)
class EncodedResponse:
    """Token ids of one prompt and response, cut to the context.

    ``ids[start:]`` are the response's tokens. The loss is taken where the next token is one of them, that is at the
    positions ``start - 1`` to ``len(ids) - 2``.
    """

    ids: tuple[int, ...]
    start: int
    truncated: bool

    @property
    def n_response(self) -> int:
        """Number of positions whose next token is a response token; a first token has none before it."""
        return max(0, len(self.ids) - max(1, self.start))

    @property
    def content(self) -> tuple[tuple[int, ...], int]:
        """All that a measurement depends on: samples that have it in common have the same numbers."""
        return self.ids, self.start

    def cut(self, n_response: int) -> "EncodedResponse":
        """The same with its first so many response tokens alone."""
        return EncodedResponse(self.ids[: max(1, self.start) + n_response], self.start, self.truncated)


def render_prompt(tokenizer: PreTrainedTokenizerBase, instruction: str, prompt: str) -> str:
    """Text before the response: ``plain`` is the instruction and a newline, ``chat`` the tokenizer's template.

    The chat has a system turn where the template takes one (Gemma's does not), as in the paper's code.
    """
    if prompt == "plain":
        return instruction + "\n"
    user = {"role": "user", "content": instruction}
    try:
        return _render_chat(tokenizer, [{"role": "system", "content": SYSTEM_TURN}, user])
    except jinja2.TemplateError:
        return _render_chat(tokenizer, [user])
    except ValueError as error:
        raise UserError(
            f"{tokenizer.name_or_path}: its tokenizer has no chat template; use the plain prompt"
        ) from error


def _render_chat(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]]) -> str:
    text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert isinstance(text, str)  # and no token ids, with tokenize=False
    return text


def encode(
    tokenizer: PreTrainedTokenizerBase,
    instruction: str,
    output: str,
    *,
    lead: str = "",
    prompt: str = "plain",
    paper_compat: bool = False,
    max_length: int = 1024,
) -> EncodedResponse:
    """Token ids of ``instruction`` and ``output``, at most ``max_length`` of them, cut at the right.

    ``lead`` stands before the output and, like the prompt, bears no loss; the paper has none, so that with it the
    response always starts where the spans say.

    ``paper_compat`` follows the paper's released code: everything is encoded with special tokens, even where a chat
    template has already written a BOS, and the response starts after as many tokens as the text before it has when
    encoded apart. Otherwise the text is encoded once, with one BOS where the tokenizer uses one, and a token belongs to
    the response if its span ends after the response's first character begins.
    """
    before = render_prompt(tokenizer, instruction, prompt) + lead
    if paper_compat:
        encoding = tokenizer(before + output, return_offsets_mapping=bool(lead))
        ids = encoding.input_ids
        start = _first_beyond(encoding.offset_mapping, before) if lead else len(tokenizer(before).input_ids)
    else:
        ids, start = _encode_once(tokenizer, before, output)
    return EncodedResponse(tuple(ids[:max_length]), min(start, max_length), truncated=len(ids) > max_length)


def _encode_once(tokenizer: PreTrainedTokenizerBase, before: str, output: str) -> tuple[list[int], int]:
    encoding = tokenizer(before + output, add_special_tokens=False, return_offsets_mapping=True)
    ids, spans = encoding.input_ids, encoding.offset_mapping
    start = _first_beyond(spans, before)
    bos = tokenizer.bos_token_id
    if bos is not None and bos in tokenizer("").input_ids and ids[:1] != [bos]:
        return [bos, *ids], start + 1
    return ids, start


def _first_beyond(spans: list[tuple[int, int]], before: str) -> int:
    """The first token whose span ends after the text before, or as many as there are."""
    return next((i for i, (_, end) in enumerate(spans) if end > len(before)), len(spans))
