# make demo: the loop on the shipped world.  make test: lint, types, tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test install install-dev clean

help:
	@echo "make demo   protect, attack, measure; writes outputs/demo/report.html"
	@echo "make test   lint, types and tests"
	@echo "make clean  remove the environment and all outputs"

demo: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m eval personalize -c configs/eval/tiny_demo.yaml -o outputs/demo

test: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadscope

install: $(VENV)/installed
install-dev: $(VENV)/installed-dev

$(VENV)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==0.13.8
	@touch $@

# BRISQUE compiles a library on installation; the rest works without it.
$(VENV)/installed: $(VENV)/uv requirements.txt requirements-brisque.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-brisque.txt \
		|| echo "BRISQUE was not installed (no C++ compiler?); its column will be empty"
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) outputs
