"""Audit floor: what responses are like, text by text and in a model's tokens, before anything is measured on them."""
