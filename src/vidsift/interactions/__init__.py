"""Tokens x tokens -> similarity: prepare one side, score all pairs, align matched pairs."""
