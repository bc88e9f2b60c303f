"""Who is told of a recovery or of its failure: the hooks of `spec.recovery`."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints

from tinker_operator.api.meta import SUBDOMAIN_PATTERN, ApiModel
from tinker_operator.api.rules import map_by, pattern_in_words, rule, rules

HOOKS_LIMIT = 5
"""Hooks of one kind, which also bounds status.hooks."""

SecretKey = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=r"^[-._A-Za-z0-9]+$"),
    Field(json_schema_extra=pattern_in_words("key: not the key of an entry; write letters, digits, -, _ and .")),
]


def _open_object(schema: dict[str, Any]) -> None:
    """Whatever stands in it is kept: a copy of the Pod's schema would be older than the cluster it is used in."""
    schema.pop("additionalProperties", None)
    schema["x-kubernetes-preserve-unknown-fields"] = True


JobTemplate = Annotated[dict[str, Any], Field(json_schema_extra=_open_object)]
"""A batch/v1 JobTemplateSpec; the API server checks it when the Job is made."""


class SecretEntry(ApiModel):
    """One entry of a Secret of the same namespace."""

    name: Annotated[
        str,
        StringConstraints(max_length=253, pattern=SUBDOMAIN_PATTERN),
        Field(
            json_schema_extra=pattern_in_words(
                "name: not the name of a Secret; write lower case letters, digits, - and ., and no namespace"
            )
        ),
    ] = Field(description="Name of the Secret.")
    key: SecretKey = Field(description="Entry of the Secret.")


class Webhook(ApiModel):
    """An HTTP endpoint that is told by POST, with a JSON body."""

    url_secret_ref: SecretEntry = Field(
        description="Where the URL stands; it may hold a token. Its host must be on the operator's list of webhooks."
    )
    hmac_secret_ref: SecretEntry | None = Field(
        default=None, description="Key that signs the body: header X-Tinker-Operator-Signature, sha256=<hex>."
    )
    timeout_seconds: int = Field(default=10, description="How long one call may take, in seconds.", ge=1, le=30)


class HookJob(ApiModel):
    """A Job that is made for each occasion."""

    template: JobTemplate = Field(
        description="A batch/v1 JobTemplateSpec. Its containers get TINKER_OPERATOR_HOOK, the JSON of the occasion."
    )


class Hook(ApiModel):
    """Who is told: exactly one of webhook and job."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.webhook), has(self.job)].filter(x, x).size() == 1",
                "hook: give exactly one of webhook (a URL that is called) and job (a Job that is made)",
            )
        )
    )

    name: Annotated[
        str,
        StringConstraints(min_length=1, max_length=30, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
        Field(
            json_schema_extra=pattern_in_words(
                "name: not a name for a hook; write lower case letters, digits and -, at most 30"
            )
        ),
    ] = Field(description="What it is called in status; unique in its list.")
    webhook: Webhook | None = Field(default=None, description="An HTTP endpoint that is told by POST.")
    job: HookJob | None = Field(default=None, description="A Job that is made.")


Hooks = Annotated[tuple[Hook, ...], Field(max_length=HOOKS_LIMIT, json_schema_extra=map_by("name"))]
