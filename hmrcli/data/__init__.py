"""Training and test data: annotations, crops and their augmentation."""
