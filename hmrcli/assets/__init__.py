"""Files the package brings along or fetches, and readers that run no code from them."""
