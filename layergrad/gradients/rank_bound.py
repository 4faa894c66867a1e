"""The rank that a gradient can have at most, by the structure of the model and the sample."""

from layergrad.models.projections import Projection
from layergrad.models.tokens import EncodedResponse


def rank_bound(projection: Projection, encoded: EncodedResponse, n_layers: int, learned_positions: bool) -> int:
    """Upper bound on the rank of a projection's gradient for one sample (DESIGN, rank_bound).

    The positions that can reach the loss: all but the last one, which predicts nothing; in the last layer, for q and o,
    only those that predict a response token; for q never position 0, whose attention has one key and so no gradient.
    Where the first layer's input is the token alone, equal tokens give equal rows, and q, k and v can have no more rank
    than there are distinct tokens at those positions.
    """
    last = len(encoded.ids) - 1
    first = 0
    if projection.layer == n_layers - 1 and projection.name in ("q", "o"):
        first = max(0, encoded.start - 1)
    if projection.name == "q":
        first = max(1, first)
    tokens = encoded.ids[first:last]
    alike = projection.layer == 0 and projection.name != "o" and not learned_positions
    return min(len(set(tokens)) if alike else len(tokens), projection.d_out, projection.d_in)
