"""The settings of containerd, of the kubelet and of the Pods' network, as texts.

`playground.node.node` writes them into the folder of a node. A setting stands here only when its default would not do,
with the reason where it is not plain.
"""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from playground.node.network import BRIDGE, Network
from playground.node.plan import CONTAINERD_SOCKET
from playground.settings import SERVICE_RANGE

PAUSE_IMAGE = "docker.io/library/tinker-playground-pause:1"
KUBELET_PORT = 10250
_CONTAINERD = """version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/run/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # A negative oom_score_adj takes a capability that not every root has; runc dies without it.
  restrict_oom_score_adj = true
  # A profile would stay loaded in the kernel after the node.
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    snapshotter = "{snapshotter}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "/run/etc/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{runc}"
"""


def containerd_settings(plugins: Path, runc: str, snapshotter: str) -> str:
    """For `containerd --config`.

    Args:
        plugins: Folder of the CNI plugins.
        runc: Absolute path of runc.
        snapshotter: `overlayfs`, or `native` where overlays cannot be mounted.
    """
    return _CONTAINERD.format(
        socket=CONTAINERD_SOCKET, pause=PAUSE_IMAGE, plugins=plugins, runc=runc, snapshotter=snapshotter
    )


def pod_network(network: Network) -> str:
    """For the CNI plugins: Pods are ports of the cell's bridge, and reach the API server's address through the node."""
    routes = [{"dst": SERVICE_RANGE, "gw": network.node_address}, {"dst": "0.0.0.0/0", "gw": network.host_address}]
    ranges = [[{"subnet": str(network.subnet), "rangeStart": network.first_pod, "gateway": network.host_address}]]
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": False,
        "ipMasq": False,
        "ipam": {"type": "host-local", "ranges": ranges, "routes": routes, "dataDir": "/run/cni/addresses"},
    }
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}, indent=2)


def kubelet_settings(network: Network, cgroup: str) -> str:
    """For `kubelet --config`: who asks it something proves who they are, and the API server says what they may.

    Args:
        network: Of the node.
        cgroup: Name below which all its containers are.
    """
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": "/run/etc/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/run/etc/kubelet-server.crt",
        "tlsPrivateKeyFile": "/run/etc/kubelet-server.key",
        "address": network.node_address,
        "port": KUBELET_PORT,
        "readOnlyPort": 0,
        "healthzPort": 0,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "cgroupsPerQOS": False,  # limits hold for containers; groups per Pod need more of a machine than it may have
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [network.node_address],  # nothing answers there, at once: no name but the Pod's own resolves
        "resolvConf": "",
        "evictionHard": {},  # a full disk of the machine is none of a test's business
        "imageGCHighThresholdPercent": 100,  # an image that was loaded can be pulled from nowhere again
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "5s",
        "volumeStatsAggPeriod": "5s",  # how soon a volume over its limit is seen
        "syncFrequency": "10s",
    }
    return yaml.safe_dump(settings, sort_keys=False)
