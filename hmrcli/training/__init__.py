"""Training: losses, the adversary, and what turns them into a run."""
