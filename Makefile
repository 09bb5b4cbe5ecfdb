# Everything runs in .venv, made from requirements.lock (hashes, no index addresses).
PYTHON ?= python3
BIN := .venv/bin
# Two workers: the tests start servers and Dagster runs, and the usual machine has two cores. A module is one
# worker's, so that what its tests share is made once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadscope

.PHONY: demo test up check bench lint types contracts definitions lock clean

demo: .venv/ready  ## one session from snapshot to fill; REPLAY=<LEAN root> DATE= UNDERLYING= SEED= CONFIG=
	@$(BIN)/trading-pipelines demo \
		$(if $(REPLAY),--replay "$(REPLAY)") $(if $(DATE),--date $(DATE)) \
		$(if $(UNDERLYING),--underlying "$(UNDERLYING)") $(if $(SEED),--seed $(SEED)) \
		$(if $(CONFIG),--config "$(CONFIG)")

up: .venv/ready  ## gateway, web UI and daemon on loopback; Ctrl-C stops all; DATE= SEED= PORT= WEB_PORT=
	@$(BIN)/trading-pipelines up $(if $(DATE),--date $(DATE)) $(if $(SEED),--seed $(SEED)) \
		$(if $(PORT),--port $(PORT)) $(if $(WEB_PORT),--web-port $(WEB_PORT))

test: .venv/ready  ## the test suite
	$(PYTEST)

check: lint types contracts definitions test  ## what CI runs

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

contracts: .venv/ready
	$(BIN)/lint-imports

definitions: .venv/ready
	$(BIN)/dagster definitions validate -w workspace.yaml

bench: .venv/ready  ## benchmarks, each beside its peer in one run
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

lock: .venv/ready  ## resolve the dependencies anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-strip-extras --custom-compile-command "make lock" pyproject.toml -o requirements.lock

.venv/ready: requirements.lock pyproject.toml
	@echo "making .venv (about a minute the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf .venv data
