"""What the demonstration applies with kubectl, as a person would write it."""

from __future__ import annotations

from pathlib import Path

from playground.crds import checkout_crds
from playground.errors import BadSetting

NAMESPACE = "demo"
RUN = "math-sft"
POLICY = "keep-the-last-three"
HAND_OVER = f"{RUN}-handover"
LOOP_ACCOUNT = "training-loop"
KEEP_LAST = 3

PEOPLE = f"""\
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {LOOP_ACCOUNT}, namespace: {NAMESPACE}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {HAND_OVER}, namespace: {NAMESPACE}}}
rules:
  - {{apiGroups: [""], resources: [configmaps], resourceNames: [{HAND_OVER}], verbs: [get]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {HAND_OVER}, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {HAND_OVER}}}
subjects:
  - {{kind: ServiceAccount, name: {LOOP_ACCOUNT}, namespace: {NAMESPACE}}}
"""

CHECKPOINT_POLICY = f"""\
apiVersion: tinker-operator.dev/v1alpha1
kind: CheckpointPolicy
metadata: {{name: {POLICY}, namespace: {NAMESPACE}}}
spec:
  selector: {{matchLabels: {{team: math}}}}
  retention: {{action: Delete, keepLast: {KEEP_LAST}}}
"""


def training_run(run_id: str) -> str:
    """The TrainingRun that adopts a run of the service."""
    return f"""\
apiVersion: tinker-operator.dev/v1alpha1
kind: TrainingRun
metadata: {{name: {RUN}, namespace: {NAMESPACE}, labels: {{team: math}}}}
spec:
  run: {{trainingRunId: "{run_id}"}}
  recovery: {{enabled: true}}
  pollIntervalSeconds: 1
"""


def deploy_folder() -> Path:
    """The folder of the checkout with the operator's rights.

    Raises:
        BadSetting: The demonstration runs from somewhere else, such as an installed wheel.
    """
    folder = checkout_crds().parent / "deploy" / "rights"
    if (folder / "rbac.yaml").is_file():
        return folder
    raise BadSetting(f"{folder} holds no rbac.yaml.", "Run the demonstration from a checkout of the project.")
