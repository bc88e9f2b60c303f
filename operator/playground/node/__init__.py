"""A real node for the playground: kubelet, kube-scheduler and containerd, with images that are built here.

The class is `playground.node.node.Node`; the programs inside a node are modules of this package, so it imports nothing.
"""
