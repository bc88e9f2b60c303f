"""Scores manifests by the checks of kube-score, without a kube-score."""
