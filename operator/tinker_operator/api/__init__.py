"""The Kubernetes types: what users write in `spec` and read in `status`. No behaviour lives here."""
