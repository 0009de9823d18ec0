"""Programs that use a trained network."""
