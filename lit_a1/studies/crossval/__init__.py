"""Cross-validation: every photo is labelled by a network that was not trained on it."""
