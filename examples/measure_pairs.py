"""What three answers to one question would do to the layers of your model.

python examples/measure_pairs.py <model: hub id or directory>
"""

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer

import layergrad

QUESTION = "A shop sells pens at 3 for 2 dollars. How much do 12 pens cost?"
ANSWERS = {
    "none": "8 dollars",
    "simplified": "12 pens are 4 times 3 pens. 4 times 2 dollars is 8 dollars. The answer is 8 dollars.",
    "irrelevant": "The moon has no air. Birds fly south in autumn. The answer is 17 kilometres.",
}

model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="float32")
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
pairs = [(QUESTION, answer) for answer in ANSWERS.values()]

table = layergrad.measure(model, tokenizer, pairs)
names = dict(enumerate(ANSWERS))
print("Mean nuclear norm over the layers, by answer and projection:")
print(table.groupby(["sample_index", "projection"])["nuclear_norm"].mean().unstack().rename(names).round(3))

values = layergrad.singular_values(model, tokenizer, pairs)
print("\nThe five largest singular values of layer 0's values:")
for name, found in zip(ANSWERS, values, strict=True):
    print(f"{name:>12}", found[0, "v"][:5].round(4))
