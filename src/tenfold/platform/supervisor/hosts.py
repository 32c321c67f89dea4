"""Which models run here for which tiers, decided before anything starts."""

from collections.abc import Collection
from dataclasses import dataclass

from tenfold.platform.engines import Llama
from tenfold.platform.engines.llama import cores
from tenfold.platform.models import Models
from tenfold.platform.settings import Endpoint, Settings


@dataclass(frozen=True, slots=True)
class Host:
    """A model's process, and the models whose files it needs."""

    tier: str
    engine: Llama
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    hosts: tuple[Host, ...] = ()
    #: All models that are wanted here, also those that other processes run within themselves.
    models: tuple[str, ...] = ()

    def endpoints(self, settings: Settings) -> dict[str, tuple[Endpoint, ...]]:
        """Of each tier that has a process here: what is set, and these."""
        found: dict[str, tuple[Endpoint, ...]] = {}
        for host in self.hosts:
            known = found.get(host.tier, settings.tier(host.tier).endpoints)
            found[host.tier] = (*known, host.engine.endpoint)
        return found


def plan_models(settings: Settings, models: Models, tiers: Collection[str], key: str) -> Plan:
    """A process for each replica of each of these tiers that has a model of its own. Raises BadSettings, NoSuchModel.

    Settles their ports, so that clients can be told where they will be.
    """
    hosts: list[Host] = []
    wanted: list[str] = []
    # A tier that is the same as another has its processes.
    needed = {settings.tier(name).same_as or name for name in tiers}
    for name in (each for each in settings.tier_names if each in needed):
        tier = settings.tier(name)
        needs = tuple(model for model in (tier.model, tier.draft) if model)
        wanted += needs
        if tier.model is None or models.find(tier.model).kind != "chat":
            continue  # embeddings are made inside of those who need them
        for number in range(1, tier.replicas + 1):
            own = name if number == 1 else f"{name} {number}"
            engine = Llama(
                settings.data / "llama" / own.replace(" ", "-"),
                key,
                name=f"llama {own}",
                model=models.path(tier.model),
                serves=tier.model,
                draft=models.path(tier.draft) if tier.draft else None,
                slots=tier.slots,
                context=tier.context,
                threads=max(1, cores() // tier.replicas),
            )
            engine.reserve()
            hosts.append(Host(name, engine, needs))
    # Small ones first, which are soon of use.
    return Plan(tuple(hosts), tuple(sorted(dict.fromkeys(wanted), key=lambda each: models.find(each).size)))
