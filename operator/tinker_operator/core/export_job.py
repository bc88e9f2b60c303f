"""The Job that exports one checkpoint: the operator's own image, with the keys of the user's Secrets by reference."""

from hashlib import sha256
from typing import Any, Final, TypeAlias

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.export_spec import Export, ExportFormat, ExportPlace
from tinker_operator.api.export_status import ExportRecord
from tinker_operator.api.meta import GROUP, VERSION
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.belongings import MANAGED_BY

Json: TypeAlias = dict[str, Any]
POLICY_UID_LABEL: Final = f"{GROUP}/checkpoint-policy-uid"
"""Label: uid of the CheckpointPolicy that an export's Job was made for."""
STAYS_SECONDS: Final = 3600
"""How long a Job that has ended stays, for its end to be seen and its log to be read."""
LONGEST_SECONDS: Final = 6 * 3600
"""How long an attempt may take, the wait for its image included: one that hangs would hold up all others."""
WORK: Final = "/work"
VOLUME: Final = "/export"
AUTHORITIES: Final = "/authorities"
_USER: Final = 65532
_LIMIT: Final = 63


def target_of(export: Export) -> str:
    """Returns the address of the target, as the command takes it; for a volume, where the Job mounts it."""
    place = export.to
    if place.hub is not None:
        return f"hub://{place.hub.repo}"
    if place.s3 is not None:
        return "/".join(part for part in (f"s3://{place.s3.bucket}", place.s3.prefix) if part)
    return VOLUME


def digest_of(export: Export) -> str:
    """Returns what tells one target from another: everything of it but who writes there, and the form of the files."""
    said = export.to.model_dump(exclude={"hub": {"token_secret_ref", "public"}, "s3": {"credentials_secret_ref"}})
    # What was exported before there were other forms is still known by the digest that it had.
    form = "" if export.format is ExportFormat.SAFETENSORS else export.format.value
    return sha256(f"{said!r}{form}".encode()).hexdigest()[:8]


def shown_target(export: Export) -> str:
    """Returns the target as status shows it, different for different targets."""
    claim = export.to.persistent_volume_claim
    return f"{f'pvc://{claim.claim_name}' if claim else target_of(export)}#{digest_of(export)}"


def job_name(policy: CheckpointPolicy, record: ExportRecord) -> str:
    """Returns the name of an attempt's Job: the same whenever it is asked, so that a crash makes no second one."""
    told = (policy.metadata.uid, record.path, record.time, record.size_bytes, record.target)
    known = sha256(repr((*told, record.generation, record.attempt)).encode()).hexdigest()[:16]
    ending = f"-export-{known}"
    return policy.metadata.name.replace(".", "-")[: _LIMIT - len(ending)].rstrip("-") + ending


def export_job(
    policy: CheckpointPolicy, export: Export, record: ExportRecord, run: TrainingRun, *, image: str, base_url: str
) -> Json:
    """Returns the Job of an attempt.

    Args:
        policy: Whose it is; it goes with the policy.
        export: What the policy wants.
        record: The attempt.
        run: The TrainingRun of the checkpoint; it names the Secret with the key.
        image: What runs.
        base_url: The service of the checkpoint: the key must go nowhere else, whatever the image's default is.
    """
    metadata = policy.metadata
    labels = {**MANAGED_BY, POLICY_UID_LABEL: metadata.uid}
    owner = {"apiVersion": f"{GROUP}/{VERSION}", "kind": policy.kind, "name": metadata.name, "uid": metadata.uid}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": record.job,
            "namespace": metadata.namespace,
            "labels": labels,
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": False}],
        },
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": LONGEST_SECONDS,
            "ttlSecondsAfterFinished": STAYS_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": _pod(export, record, run, image, base_url)},
        },
    }


def _pod(export: Export, record: ExportRecord, run: TrainingRun, image: str, base_url: str) -> Json:
    claim = export.to.persistent_volume_claim
    mounts: list[Json] = [{"name": "work", "mountPath": WORK}]
    mounts.append({"name": "authorities", "mountPath": AUTHORITIES, "readOnly": True})
    volumes: list[Json] = [{"name": "work", "emptyDir": {}}, {"name": "authorities", "secret": _authorities(run)}]
    if claim is not None:
        below = {"subPath": claim.sub_path} if claim.sub_path else {}
        mounts.append({"name": "export", "mountPath": VOLUME, **below})
        volumes.append({"name": "export", "persistentVolumeClaim": {"claimName": claim.claim_name}})
    account = {"serviceAccountName": export.job.service_account_name} if export.job.service_account_name else {}
    resources = {"resources": export.job.resources} if export.job.resources else {}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        **account,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "export",
                "image": image,
                "command": ["tinker-operator"],
                "args": _arguments(export, record),
                "env": _environment(export.to, run, base_url),
                "volumeMounts": mounts,
                **resources,
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": volumes,
    }


def _authorities(run: TrainingRun) -> Json:
    # As a file, since Linux lets no entry of an environment be longer than 128 KiB, and a whole bundle is.
    return {"secretName": _secret(run), "optional": True, "items": [{"key": "ca.crt", "path": "ca.crt"}]}


def _secret(run: TrainingRun) -> str:
    return run.spec.credentials_ref.name if run.spec.credentials_ref is not None else ""


def _arguments(export: Export, record: ExportRecord) -> list[str]:
    # Kubernetes reads $(NAME) in arguments; the path comes from the service.
    said = ["export", record.path.replace("$", "$$"), "--to", target_of(export), "--work-dir", WORK]
    said += ["--format", export.format.value]
    place = export.to.hub or export.to.s3
    if place is not None and place.endpoint_url is not None:
        said += ["--endpoint-url", place.endpoint_url.replace("$", "$$")]
    if export.to.hub is not None:
        said += ["--revision", export.to.hub.revision]
        said += ["--public"] if export.to.hub.public else []
        # A folder for each: what replaced another would make a record of status untrue, and its source deletable.
        said += ["--apart"]
    return said


def _environment(place: ExportPlace, run: TrainingRun, base_url: str) -> list[Json]:
    secret = _secret(run)
    told = [_plain("HOME", WORK), _plain("TMPDIR", WORK), _plain("HF_HOME", f"{WORK}/hub")]
    told += [_entry("TINKER_API_KEY", secret), _plain("TINKER_BASE_URL", base_url.replace("$", "$$"))]
    told.append(_plain("TINKER_CA_FILE", f"{AUTHORITIES}/ca.crt"))
    if place.hub is not None:
        told.append(_entry("HF_TOKEN", place.hub.token_secret_ref.name, place.hub.token_secret_ref.key))
    if place.s3 is not None:
        told += [_plain("AWS_REGION", place.s3.region)] if place.s3.region else []
        held = place.s3.credentials_secret_ref.name if place.s3.credentials_secret_ref else None
        told += [_entry(name, held) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if held]
        told += [_entry("AWS_SESSION_TOKEN", held, optional=True)] if held else []
    return told


def _plain(name: str, value: str) -> Json:
    return {"name": name, "value": value}


def _entry(name: str, secret: str, key: str | None = None, *, optional: bool = False) -> Json:
    reference: Json = {"name": secret, "key": key or name} | ({"optional": True} if optional else {})
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}
