"""What the controllers work with, made once by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from tinker_operator.api.reasons import Reason
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.arrivals import Arrivals
from tinker_operator.controllers.claims import Claims
from tinker_operator.controllers.hooks import HookCaller
from tinker_operator.controllers.inspections import Inspections
from tinker_operator.controllers.objects import TRAINING_RUNS, account_of
from tinker_operator.controllers.policy_metrics import FigureBook
from tinker_operator.controllers.poller import Poller
from tinker_operator.controllers.reporter import Reporter
from tinker_operator.controllers.services import Service, Services
from tinker_operator.controllers.tracked import tracked
from tinker_operator.core.identity import origin_of
from tinker_operator.core.inventory import Inventory
from tinker_operator.core.run_plan import SILENT_SECONDS
from tinker_operator.core.world import Fault
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.store import Store
from tinker_operator.tinker.client import TinkerClient

NOT_ASKED = Fault(Reason.OBSERVING, "The service has not been asked yet.")


@dataclass(frozen=True, slots=True)
class Shell:
    """What the controllers work with.

    Attributes:
        store: Objects as the cluster has them.
        api: The Kubernetes API.
        services: Connections and inventories.
        poller: Asked for a look when a run is new to the inventory.
        reporter: The only writer of status.
        arrivals: Tells when an object came.
        claims: Tells of objects that follow the same run.
        hooks: Tells hooks.
        inspections: Looks into exports.
        cluster_id: First part of owner keys.
        clock: Wall clock, timezone-aware.
        figures: What policies' metrics are made from.
        export_image: What the Jobs of exports run; None when only policies that name one can export.
    """

    store: Store
    api: KubeApi
    services: Services
    poller: Poller
    reporter: Reporter
    arrivals: Arrivals
    claims: Claims
    hooks: HookCaller
    inspections: Inspections
    cluster_id: str
    clock: Callable[[], datetime]
    figures: FigureBook = field(default_factory=FigureBook)
    export_image: str | None = None

    def inventory_of(self, run: TrainingRun) -> Inventory:
        """Returns what is known for this object: nothing, while it is new and no look has begun since it came."""
        account = account_of(run)
        service, known = self.services.of(account), self.services.inventory_of(account)
        fresh = not isinstance(service, Service) or service.looked_from > self.arrivals.came(run.metadata.uid)
        bound = run.status.origin == origin_of(run)
        return known if bound or fresh or known.fault is not None else Inventory()

    def first_look_in(self, key: ObjectKey) -> float:
        """Returns for how many seconds more a first look at the object's service is waited for; 0 when it is not.

        Until then nothing can be said of it, and whoever looks wakes it: ten thousand rounds that find so cost seconds.
        """
        run = self.store.derived(key, tracked) if key.kind == TRAINING_RUNS.kind else None
        if run is None or self.services.of(run.account) is not None:
            return 0.0
        left = SILENT_SECONDS - self.arrivals.waited_seconds(run.uid)
        if left <= 0:
            return 0.0
        self.poller.soon(run.account)
        return left

    def client_of(self, run: TrainingRun) -> TinkerClient | Fault:
        """Returns the client for the object's service, or why there is none."""
        service = self.services.of(account_of(run))
        return service.client if isinstance(service, Service) else service or NOT_ASKED
