"""The demonstration: a corrupted training run comes back by itself, on a real Kubernetes API server.

    make demo  ──>  command ──> opening ──> trouble ──> closing
                                   │           │           │
                         crew: simulator, operator, loop   claims over the evidence

Each part is a process of its own, and all that is claimed at the end is checked against what was read from the cluster,
from the service and from the training loop.
"""
