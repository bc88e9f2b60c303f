"""Every reason that a condition can carry: a closed list, one line of meaning each.

The README's table of reasons is checked against this list, so a reason without an explanation cannot ship.
"""

from enum import StrEnum


class ConditionType(StrEnum):
    """Condition types in the order that `kubectl describe` shows them: what needs a person comes first."""

    STALLED = "Stalled"
    RECONCILING = "Reconciling"
    READY = "Ready"
    SYNCED = "Synced"
    CORRUPTED = "Corrupted"


class Reason(StrEnum):
    """Machine-readable cause of a condition's status."""

    # The run is as declared.
    LIVE = "Live"
    """The run is alive at the service and not corrupted."""
    OBSERVED = "Observed"
    """The service answered well-formed at the last look."""
    ENFORCED = "Enforced"
    """Every governed checkpoint is as the policy says."""
    REPORTED = "Reported"
    """The plan is in status; action Report deletes nothing."""
    COMPLETED = "Completed"
    """The trainer Job has finished successfully."""
    SUSPENDED = "Suspended"
    """spec.suspend holds every action back; the run is still observed."""

    # On the way.
    OBSERVING = "Observing"
    """The first look at the service is still to come."""
    CREATING = "Creating"
    """The run is being made at the service."""
    CONFIRMING = "Confirming"
    """One observation says that the run is gone or corrupted; a second one must agree."""
    RECOVERING = "Recovering"
    """A corrupted run is being restored from a checkpoint."""
    RECOVERY_BACKOFF = "RecoveryBackoff"
    """An attempt failed; the next one waits for status.recovery.nextAttemptTime."""
    DISCOVERING = "Discovering"
    """No run at the service carries the metadata of spec.run.discover yet."""
    AWAITING_LOOP = "AwaitingLoop"
    """The hand-over is written; the run that the training loop makes has not appeared yet."""
    LAUNCHING = "Launching"
    """The trainer Job is being made."""
    HANDING_OVER = "HandingOver"
    """The hand-over ConfigMap is being written."""
    DELETING = "Deleting"
    """Checkpoints that no rule keeps are being deleted."""

    # The user must change something.
    RUN_CORRUPTED = "RunCorrupted"
    """The service flags the run as corrupted."""
    RECOVERY_DISABLED = "RecoveryDisabled"
    """The run is corrupted and spec.recovery.enabled is false."""
    RECOVERY_EXHAUSTED = "RecoveryExhausted"
    """maxAttempts attempts failed within the window."""
    OBSERVE_ONLY = "ObserveOnly"
    """spec.managementPolicy is ObserveOnly, so nothing is done about what is seen."""
    TRAINER_FAILED = "TrainerFailed"
    """The trainer Job failed and is not relaunched: recovery is off, or the Job's own policy says so."""
    TRAINER_INVALID = "TrainerInvalid"
    """No Job can be made of spec.trainer.template as it stands."""
    TRAINER_CONFLICT = "TrainerConflict"
    """A Job of the trainer Job's name exists and belongs to somebody else."""
    TRAINER_GONE = "TrainerGone"
    """The trainer Job was deleted before it was seen to finish."""
    RUN_NOT_FOUND = "RunNotFound"
    """Complete listings of the service do not contain the run."""
    CREATE_REFUSED = "CreateRefused"
    """The service refuses to make the run that spec.run.create describes."""
    INVALID_SPEC = "InvalidSpec"
    """The object does not parse; the message names the field."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a credential
    """The Secret of spec.credentialsRef does not exist."""
    SECRET_INVALID = "SecretInvalid"  # noqa: S105 - a reason, not a credential
    """The Secret exists but does not hold a usable key, base URL or CA."""
    NO_CREDENTIALS = "NoCredentials"
    """No credentialsRef is given and the operator has no key of its own."""
    BASE_URL_NOT_ALLOWED = "BaseUrlNotAllowed"
    """The Secret's base URL is not on the operator's allow list."""
    UNAUTHORIZED = "Unauthorized"
    """The service does not accept the API key."""
    FORBIDDEN = "Forbidden"
    """The API key is valid but not allowed to do this."""
    BILLING_REQUIRED = "BillingRequired"
    """The service asks for billing to be put in order."""
    RUN_CLAIMED = "RunClaimed"
    """An older TrainingRun follows the same run; two would make two successors."""
    HAND_OVER_CONFLICT = "HandOverConflict"
    """A ConfigMap of the hand-over's name exists and belongs to somebody else."""

    # The service has trouble; nothing is done until it is over.
    SERVICE_UNREACHABLE = "ServiceUnreachable"
    """No connection to the service."""
    SERVICE_TIMEOUT = "ServiceTimeout"
    """The service did not answer in time."""
    TLS_FAULT = "TlsFault"
    """The service's certificate cannot be verified."""
    SERVER_FAULT = "ServerFault"
    """The service answers with 5xx."""
    RATE_LIMITED = "RateLimited"
    """The service asks to be called less often."""
    INVALID_RESPONSE = "InvalidResponse"
    """The service's answer is not what its API promises."""
    INCOMPLETE_LISTING = "IncompleteListing"
    """A listing's pages do not add up, so absence proves nothing."""
    UNEXPECTED_STATUS = "UnexpectedStatus"
    """The service answered with a status that this call does not know."""
    INTERNAL_FAULT = "InternalFault"
    """A defect of the operator kept it from looking; its log says where."""
    KUBERNETES_FAULT = "KubernetesFault"
    """The Kubernetes API server refused or did not answer a call that the decision needs."""

    # Corrupted=False / Unknown.
    NOT_CORRUPTED = "NotCorrupted"
    """The service does not flag the run."""
    NOT_OBSERVED = "NotObserved"
    """There is no well-formed observation to tell from."""

    # CheckpointPolicy.
    NO_RUNS = "NoRuns"
    """The selector matches no TrainingRun of this namespace."""
