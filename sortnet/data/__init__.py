"""Data sets as splits, their loaders, augmentation and batches."""
