"""The statistics that the paper's authors released, into the tables of gradients, and those tables in their format.

Their code writes one file a model and data file, ``<data folder>/<model key>/grads_<data file>.jsonl``, with one JSON
object a line, as Python's ``json.dumps`` writes it (so with ``NaN`` and ``Infinity``)::

    {"instruction": "...", "output": "...", "loss": 1.25,
     "model.layers.0.self_attn.q_proj.weight": {"M_mean": ..., "M_max": ..., "M_min": ..., "frobenius_norm": ...,
                                                "S_sum": ..., "S_max": ..., "S_min": ...},
     "model.layers.0.self_attn.k_proj.weight": {...}, ...}

Layers are counted from 0, and each has q, k, v and o. ``M`` is the gradient's entries, ``S`` its singular values,
``loss`` the mean cross-entropy in nats over the tokens of the output. Their ``S_min`` is the smallest of all
min(d_out, d_in) computed values: rounding noise where the rank is lower, for which this project writes 0. A row for
which their code failed has no line. Token counts, ranks and whether a text was truncated are not recorded.
"""
