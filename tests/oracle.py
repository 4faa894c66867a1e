"""An independent slow truth: dense weight gradients by autograd in float64, and their full decomposition by NumPy.

It shares no code with the package: all weights require grad, the whole text is projected to the vocabulary, the loss is
written out, and fused weights are split by hand, as the forward of each architecture views their outputs.
"""

import numpy as np
import torch


def dense_gradients(model, ids, start, mlp=False):
    """Loss and, by (layer, projection), dL/dW of a float64 model of any architecture that `split_gradients` knows."""
    loss = loss_with_gradients(model, ids, start)
    gradients = split_gradients(model, mlp)
    model.requires_grad_(False)
    return loss, gradients


def loss_with_gradients(model, ids, start):
    """Mean cross-entropy over the response; all weights hold their gradients of it."""
    model.requires_grad_(True)
    model.zero_grad()
    logits = model(input_ids=torch.tensor([ids])).logits[0]
    log_p = logits - torch.log(torch.exp(logits - logits.max(-1, keepdim=True).values).sum(-1, keepdim=True))
    log_p = log_p - logits.max(-1, keepdim=True).values
    loss = -sum(log_p[i - 1, ids[i]] for i in range(max(1, start), len(ids))) / (len(ids) - max(1, start))
    loss.backward()
    return loss.item()


def split_gradients(model, mlp=False):
    """By (layer, projection), the gradients that the weights of a model hold."""
    config = model.config.get_text_config()
    gradients = {}
    for index, layer in enumerate(_layers(model)):
        parts = dict(zip("qkvo", _attention(config, layer), strict=True))
        if mlp:
            parts |= _mlp(config.model_type, layer)
        for name, gradient in parts.items():
            gradients[index, name] = gradient.numpy().copy()
    return gradients


def _layers(model):
    match model.config.model_type:
        case "gpt2" | "openai-gpt" | "gpt_bigcode" | "falcon" | "bloom" | "gptj" | "gpt_neo" | "ctrl":
            return model.transformer.h
        case "mpt":
            return model.transformer.blocks
        case "gpt_neox":
            return model.gpt_neox.layers
        case "gpt_neox_japanese":
            return model.gpt_neox_japanese.layers
        case "opt":
            return model.model.decoder.layers
        case "gemma3":
            return model.model.language_model.layers
    return model.model.layers


def _attention(config, layer):
    """Gradients of q, k, v and o."""
    heads = config.num_attention_heads
    match config.model_type:
        case "gpt2" | "openai-gpt":
            return *_grad(layer.attn.c_attn).chunk(3), _grad(layer.attn.c_proj)
        case "gpt_bigcode" if config.multi_query:
            size = config.n_embd // heads
            return *_grad(layer.attn.c_attn).split([config.n_embd, size, size]), _grad(layer.attn.c_proj)
        case "gpt_bigcode":
            return *_by_head(_grad(layer.attn.c_attn), heads), _grad(layer.attn.c_proj)
        case "gpt_neox" | "gpt_neox_japanese":
            return *_by_head(_grad(layer.attention.query_key_value), heads), _grad(layer.attention.dense)
        case "bloom":
            return *_by_head(_grad(layer.self_attention.query_key_value), heads), _grad(layer.self_attention.dense)
        case "persimmon":
            return *_by_head(_grad(layer.self_attn.query_key_value), heads), _grad(layer.self_attn.dense)
        case "falcon":
            return *_falcon(config, _grad(layer.self_attention.query_key_value)), _grad(layer.self_attention.dense)
        case "mpt":
            return *_grad(layer.attn.Wqkv).chunk(3), _grad(layer.attn.out_proj)
        case "phi3":
            fused, query = _grad(layer.self_attn.qkv_proj), heads * (config.hidden_size // heads)
            key = config.num_key_value_heads * (config.hidden_size // heads)
            return fused[:query], fused[query : query + key], fused[query + key :], _grad(layer.self_attn.o_proj)
        case "ctrl":
            attention = layer.multi_head_attention
            return _grad(attention.Wq), _grad(attention.Wk), _grad(attention.Wv), _grad(attention.dense)
    match config.model_type:
        case "gptj":
            attention, o = layer.attn, layer.attn.out_proj
        case "gpt_neo":
            attention, o = layer.attn.attention, layer.attn.attention.out_proj
        case "opt" | "xglm":
            attention, o = layer.self_attn, layer.self_attn.out_proj
        case "phi":
            attention, o = layer.self_attn, layer.self_attn.dense
        case _:
            attention, o = layer.self_attn, layer.self_attn.o_proj
    return _grad(attention.q_proj), _grad(attention.k_proj), _grad(attention.v_proj), _grad(o)


def _by_head(fused, heads):
    """Rows are (heads, 3, head_dim): q, k and v of one head after another."""
    rows = fused.view(heads, 3, -1, fused.shape[1])
    return tuple(rows[:, part].reshape(-1, fused.shape[1]) for part in range(3))


def _falcon(config, fused):
    heads, size, columns = config.num_attention_heads, config.hidden_size // config.num_attention_heads, fused.shape[1]
    if config.new_decoder_architecture:
        rows = fused.view(-1, heads // config.num_kv_heads + 2, size, columns)
        return tuple(part.reshape(-1, columns) for part in (rows[:, :-2], rows[:, -2], rows[:, -1]))
    if config.multi_query:
        rows = fused.view(heads + 2, size, columns)
        return tuple(part.reshape(-1, columns) for part in (rows[:-2], rows[-2], rows[-1]))
    return _by_head(fused, heads)


def _mlp(model_type, layer):
    match model_type:
        case "gpt2" | "openai-gpt" | "gpt_bigcode" | "starcoder2" | "gpt_neo":
            up, down = layer.mlp.c_fc, layer.mlp.c_proj
        case "gpt_neox" | "gpt_neox_japanese" | "bloom" | "falcon" | "persimmon":
            up, down = layer.mlp.dense_h_to_4h, layer.mlp.dense_4h_to_h
        case "gptj":
            up, down = layer.mlp.fc_in, layer.mlp.fc_out
        case "opt" | "xglm":
            up, down = layer.fc1, layer.fc2
        case "phi":
            up, down = layer.mlp.fc1, layer.mlp.fc2
        case "mpt":
            up, down = layer.ffn.up_proj, layer.ffn.down_proj
        case "ctrl":
            up, down = layer.ffn[0], layer.ffn[2]
        case "phi3" | "glm":
            gate, up = _grad(layer.mlp.gate_up_proj).chunk(2)
            return {"gate": gate, "up": up, "down": _grad(layer.mlp.down_proj)}
        case _:
            gate, up, down = layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj
            return {"gate": _grad(gate), "up": _grad(up), "down": _grad(down)}
    return {"up": _grad(up), "down": _grad(down)}


def _grad(module):
    """The gradient as outputs x inputs; GPT-2's Conv1D keeps its weight transposed."""
    gradient = module.weight.grad
    return gradient.T if type(module).__name__ == "Conv1D" else gradient


def dense_statistics(gradient):
    """The columns of the gradient table, from one dense gradient."""
    s = np.linalg.svd(gradient, compute_uv=False)
    p = s[s > 0] / s.sum()
    return {
        "nuclear_norm": s.sum(),
        "frobenius_norm": np.sqrt((gradient**2).sum()),
        "spectral_norm": s[0],
        "effective_rank": np.exp(-(p * np.log(p)).sum()),
        "stable_rank": (gradient**2).sum() / s[0] ** 2,
        "grad_mean": gradient.mean(),
        "grad_max": gradient.max(),
        "grad_min": gradient.min(),
    }
