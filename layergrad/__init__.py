"""layergrad: what data does to the layers of a language model, seen through per-sample gradients."""
