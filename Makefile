# Two commands: `make demo` and `make test`. Both set up everything they need in .venv.
PYTHON ?= python3
BIN := .venv/bin
TORCH := 2.13.0

.PHONY: demo test lint types docs bench chaos claims evidence clean

demo: .venv/demo.stamp
	$(BIN)/guerdon demo

test: .venv/dev.stamp lint types docs
	$(BIN)/pytest -n 2 --dist loadgroup

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/dev.stamp
	$(BIN)/pyright

docs: .venv/dev.stamp
	$(BIN)/mkdocs build --strict --quiet

# Against the peer, in one run; benchmarks/README.md holds the figures.
bench: .venv/dev.stamp
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

# Every claim again, into the results that the documentation shows.
claims: .venv/dev.stamp
	$(BIN)/guerdon claims run all --out docs/claims

# Every number of docs/evidence.md, from the real records beside the checkout.
evidence: .venv/dev.stamp
	$(BIN)/python -m tests.evidence

# The long fault tests: many hung, crashing and killed samples.
chaos: .venv/dev.stamp
	$(BIN)/pytest -m chaos tests

clean:
	rm -rf .venv site runs build dist

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

# The CPU build of torch, unless there is a GPU: a plain install would bring gigabytes of CUDA libraries.
.venv/torch.stamp: | .venv/bin/python
	@if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then \
		$(BIN)/pip install --quiet torch==$(TORCH); \
	else \
		$(BIN)/pip install --quiet torch==$(TORCH)+cpu 2>/dev/null || \
		{ $(BIN)/pip install --quiet uv && $(BIN)/uv pip install --quiet --python $(BIN)/python --torch-backend cpu torch==$(TORCH); }; \
	fi
	@touch $@

.venv/demo.stamp: .venv/torch.stamp pyproject.toml
	$(BIN)/pip install --quiet -e '.[train,agents]'
	@touch $@

.venv/dev.stamp: .venv/torch.stamp pyproject.toml
	$(BIN)/pip install --quiet -e '.[train,serve,ray,encoder,sql,agents,claims,dev,docs]'
	@touch $@
