"""The loop: recipe, optimiser, checkpoints, trainer."""
