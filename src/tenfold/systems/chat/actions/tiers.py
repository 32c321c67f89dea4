"""What the models are doing."""

from tenfold.platform.errors import NotFound
from tenfold.platform.models import MANIFEST, Models
from tenfold.platform.supervisor import read_progress
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.types import ReplicaLoad, TierState, TierStates

#: Those that people choose from.
NAMES = ("fast", "smart")


def read_states(chat: Chat) -> TierStates:
    """The tiers that answer questions, and how far their models are."""
    settings = chat.runtime.settings
    models = Models(settings.models_directory)
    pulled = read_progress(settings)
    states: list[TierState] = []
    for name in NAMES:
        tier = settings.tier(name)
        replicas = chat.runtime.inference.states(name)
        model = MANIFEST.get(tier.model or "")
        size = model.size if model else 0
        progress = pulled.get(tier.model or "")
        done = size
        if any(each.up for each in replicas):
            state = "ready"
        elif model is not None and not _present(models, model.name):
            state, done = "pulling", progress.done if progress else 0
        else:
            state = "starting" if model is not None else "down"
        states.append(
            TierState(
                name=name,
                title=model.title if model else (tier.endpoints[0].model if tier.endpoints else "") or name,
                model=tier.model,
                state=state,  # type: ignore[arg-type]
                done=done,
                size=size,
                replicas=[ReplicaLoad("up" if each.up else "down", each.outstanding) for each in replicas],
            )
        )
    return TierStates(states)


def _present(models: Models, name: str) -> bool:
    try:
        return models.present(name)
    except NotFound:
        return False
