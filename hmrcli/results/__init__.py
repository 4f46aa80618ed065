"""Published figures, measured results, and the tables that set them side by side."""

from hmrcli.results.runs import Results, read_results, write_results

__all__ = ["Results", "read_results", "write_results"]
