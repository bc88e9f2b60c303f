"""Where checkpoints are exported to, and which: `export` of a CheckpointPolicy."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from tinker_operator.api.hook_spec import JobTemplate, SecretEntry
from tinker_operator.api.meta import SUBDOMAIN_PATTERN, ApiModel
from tinker_operator.api.rules import pattern_in_words, rule, rules

SecretName = Annotated[
    str,
    StringConstraints(max_length=253, pattern=SUBDOMAIN_PATTERN),
    Field(
        json_schema_extra=pattern_in_words(
            "name: not the name of an object of this namespace; write lower case letters, digits, - and ."
        )
    ),
]
Url = Annotated[
    str,
    StringConstraints(max_length=1024, pattern=r"^https?://[^@/?#\s]+(/[^@?#\s]*)?$"),
    Field(
        json_schema_extra=pattern_in_words(
            "endpointURL: not an address without a user; write http(s)://host[:port][/path]"
        )
    ),
]
Segments = Annotated[
    str,
    StringConstraints(max_length=512, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"),
    Field(
        json_schema_extra=pattern_in_words(
            "path: not names with / between them; begin each with a letter or digit, and none with /"
        )
    ),
]


class ExportWhat(StrEnum):
    """Which checkpoints of each TrainingRun are exported."""

    BEST = "Best"
    """The best by retention.keepBest.metric."""
    LATEST = "Latest"
    """The newest."""
    ALL = "All"
    """Every one; none is deleted before."""


class ExportFormat(StrEnum):
    """Form of the files."""

    SAFETENSORS = "Safetensors"
    """A PEFT adapter: adapter_config.json and adapter_model.safetensors."""
    PYTORCH = "PyTorch"
    """A PEFT adapter whose weights torch.save wrote: adapter_config.json and adapter_model.bin."""
    GGUF = "GGUF"
    """What llama.cpp loads beside its base model: adapter_model.gguf."""


class HubPlace(ApiModel):
    """A repository of the Hugging Face Hub."""

    repo: Annotated[
        str,
        StringConstraints(max_length=193, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"),
        Field(json_schema_extra=pattern_in_words("repo: not the name of a repository; write <owner>/<name>")),
    ] = Field(description="The repository, <owner>/<name>; made when it is missing.")
    revision: Segments = Field(default="main", description="Its branch; made when it is missing.")
    public: bool = Field(
        default=False, description="Everybody may read it. Otherwise it is made private, and an open one is refused."
    )
    endpoint_url: Url | None = Field(default=None, description="Another Hub than the public one.", alias="endpointURL")
    token_secret_ref: SecretEntry = Field(description="Where the token stands.")


class SecretReference(ApiModel):
    """A Secret of the same namespace."""

    name: SecretName = Field(description="Its name.")


class S3Place(ApiModel):
    """A bucket of S3, or of a store that speaks its protocol."""

    bucket: Annotated[
        str,
        StringConstraints(max_length=63, pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"),
        Field(
            json_schema_extra=pattern_in_words(
                "bucket: not the name of a bucket; write 3 to 63 lower case letters, digits, - and ."
            )
        ),
    ] = Field(description="The bucket.")
    prefix: Segments | None = Field(default=None, description="Below which each checkpoint has a folder of its own.")
    region: Annotated[str, StringConstraints(max_length=63)] | None = Field(default=None, description="Its region.")
    endpoint_url: Url | None = Field(default=None, description="Another store than Amazon's.", alias="endpointURL")
    credentials_secret_ref: SecretReference | None = Field(
        default=None,
        description="A Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_SESSION_TOKEN if there is "
        "one. Without it the Job's ServiceAccount must do.",
    )


class VolumePlace(ApiModel):
    """A PersistentVolumeClaim."""

    claim_name: SecretName = Field(description="Name of the claim, in this namespace.")
    sub_path: Segments | None = Field(
        default=None, description="Folder of the volume below which each checkpoint has a folder of its own."
    )


class ExportPlace(ApiModel):
    """Where to: exactly one of hub, s3 and persistentVolumeClaim."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.hub), has(self.s3), has(self.persistentVolumeClaim)].filter(x, x).size() == 1",
                "to: give exactly one of hub, s3 and persistentVolumeClaim",
            )
        )
    )

    hub: HubPlace | None = Field(default=None, description="A repository of the Hugging Face Hub.")
    s3: S3Place | None = Field(default=None, description="A bucket.")
    persistent_volume_claim: VolumePlace | None = Field(default=None, description="A volume.")


class ExportJob(ApiModel):
    """The Job that exports one checkpoint."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None, description="Image with tinker-operator[export]. Default: what the operator was told."
    )
    service_account_name: SecretName | None = Field(default=None, description="ServiceAccount of its Pod.")
    resources: JobTemplate | None = Field(default=None, description="Resources of its container, as in a Pod.")


class Export(ApiModel):
    """Which checkpoints are exported, and where to."""

    what: ExportWhat = Field(description="Best, Latest or All of each TrainingRun.")
    to: ExportPlace = Field(description="Where to.")
    format: ExportFormat = Field(
        default=ExportFormat.SAFETENSORS,
        description="Form of the files: Safetensors and PyTorch for PEFT, GGUF for llama.cpp. What the image has to "
        "hold for the last two: tinker-operator[pytorch], tinker-operator[gguf].",
    )
    parallelism: int = Field(default=1, ge=1, le=16, description="How many checkpoints are exported at once.")
    job: ExportJob = Field(default=ExportJob(), description="The Job that exports one checkpoint.")


BEST_EXPORT_NEEDS_A_METRIC = rule(
    "!has(self.export) || self.export.what != 'Best' || has(self.retention.keepBest)",
    "export.what: nothing says what is Best; give retention.keepBest with its metric",
    path=".export",
)
"""Rule of CheckpointPolicy's spec."""

EXPORT_NEEDS_TRAINING = rule(
    "!has(self.export) || 'Training' in self.retention.checkpointTypes",
    "export: only training checkpoints can be exported, and retention.checkpointTypes does not name them; add "
    "Training, or remove export",
    path=".export",
)
"""Rule of CheckpointPolicy's spec: no other type can be downloaded, and what is not governed is not looked at."""
