"""What the measurement costs, against the paper's procedure, a fine-tuning step and the floor; `make benchmark`."""
