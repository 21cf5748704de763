"""The telling: terminal, HTML, Markdown, JUnit."""
