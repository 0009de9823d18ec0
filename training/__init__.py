"""What `_03_model_training.py` is made of: augmentation, batches, callbacks, backup, optimizers."""
