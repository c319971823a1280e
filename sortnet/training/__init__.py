"""Recipes, presets, schedules, losses, the trainer and its run folders."""
