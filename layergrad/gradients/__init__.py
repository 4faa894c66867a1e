"""The gradients floor: exact spectra of every projection's per-sample gradient, from factors, at their rank."""
