"""The memory: records, and where they are kept."""
