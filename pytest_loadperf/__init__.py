"""pytest-loadperf: performance as a test."""
