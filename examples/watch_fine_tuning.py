"""Watch the spectra of the gradients while a model is fine-tuned, step by step.

python examples/watch_fine_tuning.py <model: hub id or directory>
"""

import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import layergrad

TEXTS = [
    "The capital of France is Paris, on the river Seine.",
    "The capital of Italy is Rome, on the river Tiber.",
    "The capital of Austria is Vienna, on the river Danube.",
    "The capital of Portugal is Lisbon, on the river Tagus.",
]
STEPS = 4

model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="float32").train()
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
batch["labels"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5)

with layergrad.watch(model) as gradients:
    for step in range(STEPS):
        loss = model(**batch).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        table = gradients.take()
        norms = table.groupby("projection")[["nuclear_norm", "effective_rank"]].mean()
        print(f"step {step}: loss {loss.item():.3f}")
        print(norms.round(3).to_string(), "\n")
