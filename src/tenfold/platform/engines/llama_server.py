"""The program of a model's process: llama.cpp's own HTTP server out of its wheel, set up from a file.

Run by path, so it imports the standard library and that wheel only: a model is to be ready soon, and to be alone.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

#: Tokens of prompts that are worked on at once. Streams under way are silent meanwhile: beside a prompt of 900 tokens
#: for 2.2 s at most, where it was 5.9 s at 512 and 12.4 s at the usual 2048. The prompt itself took a third longer.
BATCH = 128
#: Tokens in a row that are worth taking over from a prompt whose beginning has changed, as when old turns are cut off.
REUSED = 64
#: Memory in which conversations wait that have lost their slot to others, in MiB.
REMEMBERED = 512
#: Tokens that a smaller model guesses ahead at most. (On two cores no number of them paid for its guesses.)
DRAFTED = 8
#: How often a thread looks whether the others are done, before it sleeps. Left alone it looks for milliseconds, and two
#: threads stand still when anything else wants one of two cores: 1 to 8 tokens a second, where this gives 23 to 26. On
#: a machine that does nothing else it costs up to a sixth, where sleeping at once costs half.
SPINS = 1000
#: How far it steps back for others (nice): it works for seconds at a time, and what answers people has milliseconds.
NICE = 10
#: Seconds a client may take to send or to receive something.
TIMEOUT = 600


def parameters(settings: dict[str, Any]) -> Any:
    """What llama.cpp is told. `settings` are those that engines/llama.py writes."""
    import xllamacpp

    said = xllamacpp.CommonParams()
    said.model.path = settings["model"]
    # What clients are told of the model is its name. Left alone it would be its path.
    said.model_alias = {settings["name"]}
    said.hostnames = ["127.0.0.1"]
    said.port = settings["port"]
    said.api_keys = [settings["key"]]
    said.ui = False
    said.endpoint_metrics = True
    said.timeout_read = said.timeout_write = TIMEOUT
    said.verbosity = 2  # warnings: at 3 each request writes ten lines
    said.use_jinja = True  # templates of models, with their tools
    said.cont_batching = True
    said.n_parallel = settings["slots"]
    said.n_ctx = settings["slots"] * settings["context"]
    said.n_batch = said.n_ubatch = BATCH
    said.cache_prompt = True
    said.n_cache_reuse = REUSED
    said.cache_ram_mib = REMEMBERED
    # Would look at what fits into a GPU, and take its time.
    said.fit_params = False
    said.cpuparams.n_threads = said.cpuparams_batch.n_threads = settings["threads"]
    if settings["draft"]:
        draft = said.speculative.draft
        draft.mparams.path = settings["draft"]
        draft.n_max = DRAFTED
        draft.cpuparams.n_threads = draft.cpuparams_batch.n_threads = settings["threads"]
        said.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
    return said


def main() -> None:
    os.nice(NICE)
    # The OpenMP runtime reads it when it is loaded.
    os.environ["GOMP_SPINCOUNT"] = str(SPINS)
    import xllamacpp

    settings = json.loads(Path(sys.argv[1]).read_bytes())
    said = parameters(settings)
    try:
        server = xllamacpp.Server(said)
    except RuntimeError as error:
        sys.exit(f"llama.cpp: {error}")
    sys.stderr.write(f"Serving {said.model.path} at {server.listening_address}\n")
    # A guard ends us with our parent. Should that have been killed too, a gigabyte of memory isn't left behind.
    # We are told who that is: it may have gone before we could look.
    while os.getppid() == settings["parent"]:
        time.sleep(1)
    # Nothing is left to tidy up, and the server's own end has been seen to wait for a connection that nobody makes.
    os._exit(0)


if __name__ == "__main__":
    main()
