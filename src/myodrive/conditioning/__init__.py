"""From what was measured to what the estimators take: filters, normalisation, windows, quality."""
