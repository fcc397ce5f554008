"""What trained networks do, and how they compare."""

PARTS = (  # modules that analyze a trained network, in the order of a report
    *("confusion", "mistakes", "conditions", "changes", "calibration", "label_errors"),
    *("kernels", "feature_maps", "attention", "maximise", "embedding", "generalisation"),
)
