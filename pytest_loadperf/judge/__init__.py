"""The verdict: thresholds and the baseline."""
