"""Cross-validation: every photo is classified by a network that was not trained on it."""
