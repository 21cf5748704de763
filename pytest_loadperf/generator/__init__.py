"""HOW it is loaded: a child process with Locust inside."""
