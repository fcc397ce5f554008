"""What trained networks do, and how they compare."""

PARTS = (  # modules that look into a trained network, in the order of a report
    *("confusion", "mistakes", "conditions", "changes", "calibration", "label_errors"),
    *("kernels", "feature_maps", "attention", "maximise", "embedding", "generalisation"),
)
