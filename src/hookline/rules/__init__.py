"""Pure rules: values in, values out; no clock, no randomness, no I/O of their own."""
