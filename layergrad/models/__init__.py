"""The models floor: weights and tokenizers, prompts as token ids, and where the projections of a model are."""
