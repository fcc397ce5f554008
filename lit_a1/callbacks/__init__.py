"""Callbacks around a run: progress on the terminal, TensorBoard, the run's record, the submission."""
