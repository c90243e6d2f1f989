# make demo: the loop on the shipped world.  make test: lint, types, tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test quick coverage style-report docs hostile killed lock install install-dev install-pages clean

help:
	@echo "make demo   protect, attack, measure, look copies up; writes outputs/demo/report.html"
	@echo "make test   lint, types and tests"
	@echo "make quick  lint, types and the fast tests, in two minutes on two cores"
	@echo "make coverage   all tests, and which lines they run; writes outputs/coverage/index.html"
	@echo "make style-report   sizes, density and docstrings of this code; STYLE_OF='DIR DIR' for others beside it"
	@echo "make docs   write the reference pages and build the documentation in outputs/site"
	@echo "make install-pages   what python -m eval demo and python -m eval study need"
	@echo "make hostile   ten thousand damaged inputs over every reader and every verb; HOSTILE_SEED=N for others"
	@echo "make killed    fifty kills at random moments over every job and fit; KILLED_SEED=N for others"
	@echo "make lock   requirements.lock anew: hashes of all packages, the newest of what requirements*.txt leave open"
	@echo "make clean  remove the environment and all outputs"

demo: $(VENV)/installed
	@echo "demo, 1 of 4: three drawn portraits are protected (seconds)"
	@OMP_NUM_THREADS=1 $(BIN)/python -m tiny portraits -o outputs/demo-portraits --people 3 --pictures 1 --first 1000000 --quiet
	@OMP_NUM_THREADS=1 $(BIN)/python -m rid protect outputs/demo-portraits -o outputs/demo-protected --quiet
	@echo "demo, 2 of 4: a diffusion model learns each person from images in four conditions (about six minutes)"
	@OMP_NUM_THREADS=1 $(BIN)/python -m eval personalize -c configs/eval/tiny_demo.yaml -o outputs/demo
	@echo "demo, 3 of 4: one photo of each person is the prompt of an identity adapter; nothing is trained (half a minute)"
	@OMP_NUM_THREADS=1 $(BIN)/python -m eval personalize -c configs/eval/tiny_one_photo.yaml -o outputs/demo-one-photo
	@echo "demo, 4 of 4: edited copies are looked up, with and without activation (half a minute)"
	@OMP_NUM_THREADS=1 $(BIN)/python -m tiny demo -o outputs/demo
	@echo "ISM is the identity score of the images that the attacker generates: lower is better protection. These are toy"
	@echo "models and three drawn people; the figures say nothing about photographs. Open outputs/demo/report.html"

test: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadscope

QUICK = $(wildcard tests/test_*.py) tests/rid/test_losses.py tests/rid/test_generator.py tests/detectors/test_metrics.py \
	tests/indexing/test_jnd.py tests/indexing/test_targets.py tests/sentinels/test_keys.py tests/images tests/models/test_store.py

quick: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m "not slow" $(filter-out tests/test_readme.py tests/test_docs.py tests/test_devices.py,$(QUICK))

coverage: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadscope --cov --cov-report=term --cov-report=html:outputs/coverage

style-report:
	$(if $(wildcard $(VENV)/installed),,$(MAKE) install)
	$(BIN)/python -m benchmarks.style $(STYLE_OF)

docs: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "outputs/site/index.html"

hostile: $(VENV)/installed-dev
	HOSTILE_CASES=$${HOSTILE_CASES:-9400} HOSTILE_COMMANDS=$${HOSTILE_COMMANDS:-600} OMP_NUM_THREADS=1 $(BIN)/pytest -q -s tests/hostile

killed: $(VENV)/installed-dev
	KILLED_CASES=$${KILLED_CASES:-50} OMP_NUM_THREADS=1 $(BIN)/pytest -q -s tests/killed

install: $(VENV)/installed
install-dev: $(VENV)/installed-dev
install-pages: $(VENV)/installed-pages

$(VENV)/uv: requirements.lock
	$(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r $(VENV)/uv.txt
	@touch $@

# Everything is installed at the versions and with the hashes of requirements.lock; what has another hash ends the installation.
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -c requirements.lock

# BRISQUE compiles a library on installation; the rest works without it.
$(VENV)/installed: $(VENV)/uv requirements.lock requirements.txt requirements-brisque.txt
	$(INSTALL) -r requirements.txt
	@$(INSTALL) -r requirements-brisque.txt 2>$(VENV)/brisque.log || { \
		cat $(VENV)/brisque.log; \
		! grep -q "Hash mismatch" $(VENV)/brisque.log && echo "BRISQUE was not installed (no C++ compiler?); its column will be empty"; }
	@touch $@

# Gradio asks for an older Pillow than the rest: our pins hold.
$(VENV)/installed-pages: $(VENV)/installed requirements-pages.txt
	$(INSTALL) --override requirements.txt -r requirements-pages.txt
	@touch $@

lock: $(VENV)/uv
	grep '^pillow==' requirements.txt > $(VENV)/overrides.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" --override $(VENV)/overrides.txt $(wildcard requirements*.txt) -o requirements.lock

# The tests of the pages want a browser and are skipped without one; where a package manager may be asked, it is.
$(VENV)/installed-dev: $(VENV)/installed-pages requirements-dev.txt requirements-docs.txt requirements-onnx.txt requirements-ocr.txt engine/browser/package-lock.json
	$(INSTALL) -r requirements-dev.txt -r requirements-docs.txt -r requirements-onnx.txt -r requirements-ocr.txt
	@command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
		|| (timeout 120 apt-get update -qq && timeout 300 apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core) >/dev/null 2>&1 \
		|| echo "no Chromium to be had; the tests of the pages will be skipped"
	@command -v npm >/dev/null && timeout 300 npm ci --ignore-scripts --silent --prefix engine/browser \
		|| echo "onnxruntime-web was not installed (no npm?); the tests of the page for browsers will be skipped"
	@touch $@

clean:
	rm -rf $(VENV) outputs
