"""A prompt and a response as a model is given them, for a person to look at."""

from functools import partial

from rich.text import Text
from transformers import PreTrainedTokenizerBase

from layergrad.models.tokens import EncodedResponse, encode

BETWEEN = "│"
# A line break shows and breaks the line; other control characters show as their pictures, and command no terminal.
_VISIBLE = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "␡", ord("\n"): "↵\n", ord("\t"): "⇥"}


def preview(
    tokenizer: PreTrainedTokenizerBase,
    instruction: str,
    output: str,
    *,
    prompt: str = "plain",
    paper_compat: bool = False,
    max_length: int = 1024,
) -> list[Text]:
    """What the model sees, in three parts: a line of counts, the tokens of the prompt, the tokens that bear the loss.

    Tokens are parted by ``BETWEEN``; a line break inside a token shows as an arrow too. What ``max_length`` cuts off
    follows as a fourth part.
    """
    read = partial(encode, tokenizer, instruction, output, prompt=prompt, paper_compat=paper_compat)
    whole, cut = read(max_length=10**9), read(max_length=max_length)
    start = len(cut.ids) - cut.n_response
    parts = [
        Text(_counts(cut, len(whole.ids) - len(cut.ids)), style="bold"),
        _part("the prompt, without loss", tokenizer, cut.ids[:start], "dim"),
        _part("the response, whose tokens bear the loss", tokenizer, cut.ids[start:], "green"),
    ]
    if cut.truncated:
        parts.append(_part("cut off", tokenizer, whole.ids[len(cut.ids) :], "red"))
    return parts


def token_texts(tokenizer: PreTrainedTokenizerBase, ids: tuple[int, ...]) -> list[str]:
    """The text of each token by itself: where a character is split over several, each shows a question mark in a box.

    Each is decoded behind a letter, since some tokenizers drop the blank that a text begins with.
    """
    (*_, letter) = tokenizer("a", add_special_tokens=False).input_ids
    behind = [[letter], *([letter, token] for token in ids)]
    alone, *texts = tokenizer.batch_decode(behind, clean_up_tokenization_spaces=False)
    return [text[len(alone) :] for text in texts]


def _counts(encoded: EncodedResponse, cut_off: int) -> str:
    before = len(encoded.ids) - encoded.n_response
    cut = f"{cut_off} more are cut off" if encoded.truncated else "nothing is cut off"
    return f"{before} tokens of prompt, {encoded.n_response} of response; {cut}"


def _part(title: str, tokenizer: PreTrainedTokenizerBase, ids: tuple[int, ...], style: str) -> Text:
    texts = [text.translate(_VISIBLE) for text in token_texts(tokenizer, ids)]
    return Text.assemble((f"--- {title}\n", "bold"), (BETWEEN.join(texts), style))
