"""A paper a file: which token sets exist, which pairs are compared, how the loss is made."""
