"""A local Kubernetes control plane, and the demonstration of tinker-operator on it; no part of what is deployed."""
