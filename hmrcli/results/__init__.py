"""Published figures, measured results, and the tables that set them side by side."""
