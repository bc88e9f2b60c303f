"""Does what was submitted: one lane per model keeps the order, each result is stored with what it changed."""
