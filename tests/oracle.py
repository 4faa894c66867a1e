"""An independent slow truth: dense weight gradients by autograd in float64, and their full decomposition by NumPy.

It shares no code with the package: all weights require grad, the whole text is projected to the vocabulary, and the
loss is written out.
"""

import numpy as np
import torch


def dense_gradients(model, ids, start):
    """Loss and, by (layer, projection), dL/dW of a float64 model with Llama's module names."""
    model.requires_grad_(True)
    model.zero_grad()
    logits = model(input_ids=torch.tensor([ids])).logits[0]
    log_p = logits - torch.log(torch.exp(logits - logits.max(-1, keepdim=True).values).sum(-1, keepdim=True))
    log_p = log_p - logits.max(-1, keepdim=True).values
    loss = -sum(log_p[i - 1, ids[i]] for i in range(max(1, start), len(ids))) / (len(ids) - max(1, start))
    loss.backward()
    gradients = {}
    for index, layer in enumerate(model.model.layers):
        for name in "qkvo":
            gradients[index, name] = getattr(layer.self_attn, f"{name}_proj").weight.grad.numpy().copy()
    model.requires_grad_(False)
    return loss.item(), gradients


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
