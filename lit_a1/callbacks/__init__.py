"""What happens around a run: progress on the terminal, TensorBoard, the record of the run, the submission."""
