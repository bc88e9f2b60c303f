"""A `go` that builds nothing but behaves like one: it lists packages, takes its time, and leaves a binary."""

from __future__ import annotations

from pathlib import Path

_SCRIPT = """#!/bin/sh
echo "$1" >> {calls}
case "$1" in
  version) echo "go version go{version} linux/amd64"; exit 0 ;;
  list) for name in errors fmt strings; do echo $name; done; exit 0 ;;
esac
[ -z "{failure}" ] || {{ echo "{failure}" >&2; exit 1; }}
while [ "$1" != "-o" ]; do shift; done
sleep {seconds}
printf '#!/bin/sh\\necho Kubernetes v1.35.4\\n' > "$2"
chmod +x "$2"
"""


def install_fake_go(folder: Path, *, version: str = "1.26.1", seconds: float = 0, failure: str = "") -> Path:
    """Write `folder/go`; it notes the verb of each call in the file `folder/calls`, whose path is answered.

    Args:
        folder: Made if need be.
        version: What it calls itself.
        seconds: How long a build takes.
        failure: What a build fails with; nothing for success.
    """
    folder.mkdir(parents=True, exist_ok=True)
    calls = folder / "calls"
    calls.touch()
    go = folder / "go"
    go.write_text(_SCRIPT.format(calls=calls, version=version, seconds=seconds, failure=failure))
    go.chmod(0o755)
    return calls
