"""tinker-operator: training runs of the Tinker service, kept alive and tidy by declaration."""
