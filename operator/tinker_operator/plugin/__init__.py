"""`kubectl tinker`: what a person asks about the operator's objects, from a kubeconfig of their own."""
