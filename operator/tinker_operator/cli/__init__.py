"""The command line: what a person or a Deployment starts."""
