"""WHAT is loaded: services that this run starts, or that run already."""
