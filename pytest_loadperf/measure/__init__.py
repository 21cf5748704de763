"""The numbers: windows merged into summaries."""
