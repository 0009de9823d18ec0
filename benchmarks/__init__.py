"""Speed and accuracy, measured: `seeds`, `time_to_accuracy`, `profile_step` are programs."""
