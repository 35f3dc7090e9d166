"""Question -> hits, moments and explanations."""
