"""Where a command looks, and with whose key: the options that every command of `kubectl tinker` has."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Self

import click
from click.shell_completion import CompletionItem

from tinker_operator.cli.settings import Settings, checked_namespace
from tinker_operator.engine.credentials import namespace_of_context
from tinker_operator.plugin.reading import Access

Completing = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command looks.

    Attributes:
        kubeconfig: Kubeconfig file; None for the one that kubectl would use.
        context: Its context; None for the current one.
        namespace: Namespace that is meant.
        access: How the services are reached.
    """

    kubeconfig: Path | None
    context: str | None
    namespace: str
    access: Access

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str],
        *,
        namespace: str | None,
        context: str | None,
        kubeconfig: Path | None,
        urls: tuple[str, ...] = (),
    ) -> Self:
        """Returns the place that options and environment name.

        Raises:
            InvalidSettings: One of them cannot be used.
            CredentialsInvalid: There is no such kubeconfig or context.
        """
        settings = Settings.read(
            environ, kubeconfig=kubeconfig, namespaces=(), cluster_id=None, allowed_urls=urls, lease_namespace=None
        ).deployment()
        if namespace is not None:
            checked_namespace("-n", namespace)
        else:
            namespace = namespace_of_context(kubeconfig, context)
        return cls(kubeconfig, context, namespace, Access(settings.own, settings.default_url, settings.allowed_urls))


_OPTIONS = (
    click.option("-n", "--namespace", metavar="NS", help="Namespace. Default: that of the kubeconfig's context."),
    click.option("--context", metavar="NAME", help="Context of the kubeconfig. Default: the current one."),
    click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path),
        help="Kubeconfig file. Default: KUBECONFIG, or ~/.kube/config.",
    ),
    click.option("--allow-base-url", "urls", multiple=True, metavar="URL", help="Base URL that a Secret may name."),
)


def placed(function: Callable[..., int]) -> Callable[..., int]:
    """Gives a command the options of a place, and its function the `place`."""

    @wraps(function)
    def command(
        *given: object,
        namespace: str | None,
        context: str | None,
        kubeconfig: Path | None,
        urls: tuple[str, ...],
        **others: object,
    ) -> int:
        place = Place.read(os.environ, namespace=namespace, context=context, kubeconfig=kubeconfig, urls=urls)
        return function(*given, place=place, **others)

    wrapped: Callable[..., int] = command
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
