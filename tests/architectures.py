"""The decoders that projections are proved on: changes to the tiny model of conftest.py, two layers each."""

_MULTI_QUERY = {"multi_query": True}
_BY_HEAD = {"multi_query": False}

DENSE = {
    "llama": ("llama", {"attention_bias": True, "tie_word_embeddings": True}),
    "mistral": ("mistral", {"head_dim": 12}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {"head_dim": 12}),
    "gemma2": ("gemma2", {"head_dim": 12}),
    "gemma3": ("gemma3_text", {"head_dim": 12}),
    "phi3": ("phi3", {"pad_token_id": 0}),
    "gpt2": ("gpt2", {"n_inner": 48}),
    "gpt_neox": ("gpt_neox", {}),
    "falcon multi-query": ("falcon", _MULTI_QUERY),
    "falcon heads": ("falcon", _BY_HEAD | {"alibi": True, "parallel_attn": False}),
    "falcon groups": ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "bloom": ("bloom", {}),
    "opt": ("opt", {"ffn_dim": 48, "word_embed_proj_dim": 32}),
    "gptj": ("gptj", {"rotary_dim": 4}),
    "olmo2": ("olmo2", {"pad_token_id": 0}),
    "starcoder2": ("starcoder2", {}),
    "cohere": ("cohere", {"pad_token_id": 0}),
    "mpt": ("mpt", {}),
    "gpt_bigcode multi-query": ("gpt_bigcode", _MULTI_QUERY),
    "gpt_bigcode heads": ("gpt_bigcode", _BY_HEAD),
    "gpt_neox_japanese": ("gpt_neox_japanese", {"intermediate_multiple_size": 2}),
    "persimmon": ("persimmon", {}),
    "openai-gpt": ("openai-gpt", {}),
    "phi": ("phi", {}),
    "glm": ("glm", {"head_dim": 12, "pad_token_id": 0}),
    "gpt_neo": ("gpt_neo", {"attention_types": [[["global"], 2]]}),
}

EXPERTS = {
    "mixtral": ("mixtral", {"num_local_experts": 4}),
    "qwen3_moe": ("qwen3_moe", {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}),
    "gpt_oss": ("gpt_oss", {"head_dim": 12, "num_local_experts": 4, "layer_types": ["full_attention"] * 2}),
}

DECODERS = DENSE | EXPERTS


def make(tiny_model, decoder, **changes):
    """A tiny model in float64 with eager attention, weights and biases that are not trivial."""
    model_type, own = DECODERS[decoder]
    model = tiny_model(model_type, **({"num_hidden_layers": 2} | own | changes))
    if decoder in EXPERTS:
        # The default one multiplies no float64 matrices.
        model.set_experts_implementation("eager")
    return model
