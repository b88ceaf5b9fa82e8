# One entry per habit; each makes its own virtual environment and installs what it needs: `make demo`
# torch and the library, the others the tools of the tests as well.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
LIBRARY := $(VENV)/.library
INSTALLED := $(VENV)/.installed
PROPERTIES := expr.py sets.py axis.py nn.py solve.py torch_samples.py solve_wishes.py \
  solve_layer.py solve_choices.py solve_diagnose.py solve_networks.py cost.py cost_backward.py \
  cost_memory.py cost_compare.py receptive_field.py networks.py

PAGE := symcnn/words/page

# Packages of models, which are tried, without what they install for training; diffusers asks for requests.
MODELS = $(PIP) requests && $(PIP) --no-deps timm monai diffusers einops

.PHONY: page page-check demo test notebooks zoo-tests lint fuzz mutants provers validate-gpu versions pythons bench zoo families places docs package proofs clean

demo: $(LIBRARY)  ## the main job: which inputs give 7x7, and why
	$(BIN)/python examples/demo.py

test: $(INSTALLED)  ## the test suite, doctests included
	$(BIN)/python -m pytest -n auto

zoo-tests: $(INSTALLED)  ## the tests on models of transformers, which take minutes
	$(BIN)/python -m pytest -n auto -m zoo tests/test_zoo.py tests/test_cost_zoo.py

notebooks: $(INSTALLED)  ## run examples/notebooks, and write what they show into them
	$(BIN)/python -m pytest -n auto --nbmake --overwrite examples/notebooks

lint: $(INSTALLED)  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The long form: make fuzz LAYERS=1000000 NETWORKS=10000 DOMAINS=1000; stopped, it goes on where it was.
LAYERS ?= 200000
NETWORKS ?= 2000
DOMAINS ?= 200
FIELDS ?= 100
PLACES ?= 400
FORMS ?= 20000
BRANCHING ?= 200
SEED ?= 0

fuzz: $(INSTALLED)  ## layers, networks, domains judged by torch, 20,000 examples per property, 100,000 texts
	$(BIN)/python -m tests.fuzz --layers $(LAYERS) --networks $(NETWORKS) --domains $(DOMAINS) --fields $(FIELDS) --places $(PLACES) --forms $(FORMS) --branching $(BRANCHING) \
		--seed $(SEED) --state .sweep-$(SEED).json --report docs/validation/sweep.md
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest -n auto -k 'not random_layer_gives' \
		$(addprefix tests/test_,$(PROPERTIES))
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest -k mutated tests/test_grammar.py
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest -k torchs_shape tests/test_branch_law.py

mutants: $(INSTALLED)  ## break each law on purpose; the tests must notice
	$(BIN)/python -m tests.tools.mutants --write docs/validation/mutants.md

provers: $(INSTALLED)  ## isl and z3 over every claim of examples, zoo and families; stopped, it goes on
	$(MODELS)
	$(BIN)/python -m tests.tools.provers --seconds 100 --state .provers.jsonl --write docs/validation/provers.md

validate-gpu: $(INSTALLED)  ## on a CUDA machine: examples and models in three dtypes, with a report
	$(BIN)/python -m tests.tools.on_device --device cuda --processes 4

# Each takes gigabytes of CUDA where a package index has no CPU build of that torch.
TORCH ?= 2.7.1 2.11.0 2.14.1

versions: $(INSTALLED)  ## the suite on other versions of torch, with a report
	$(BIN)/python -m tests.tools.versions versions $(addprefix --torch ,$(TORCH))

PYTHONS ?= python3.12 python3.13

pythons: $(INSTALLED)  ## the suite on other versions of python, with a report
	$(BIN)/python -m tests.tools.versions pythons $(addprefix --python ,$(PYTHONS))

bench: $(INSTALLED)  ## ratios against torch and other tools in one run; writes docs/benchmarks.md
	$(PIP) -e '.[bench]'
	$(BIN)/python -m tests.benchmarks.bench

zoo: $(INSTALLED)  ## trace the models of transformers, write docs/zoo.md; stopped, it goes on
	$(BIN)/python -m tests.tools.zoo --state .zoo.jsonl

families: $(INSTALLED)  ## the same of timm, monai and diffusers, write docs/families.md
	$(MODELS)
	$(BIN)/python -m tests.tools.families --state .families.jsonl

places: $(INSTALLED)  ## tiles, shards, streams and their kin of networks of others, judged by torch
	$(MODELS) snac
	$(BIN)/python -m tests.tools.places

page:  ## the front end of the page, with npm, into one file of JavaScript and one of CSS
	npm ci --prefix $(PAGE) --no-audit --no-fund
	npm run --prefix $(PAGE) build

page-check: $(INSTALLED)  ## every number of pages in a browser, against python
	$(BIN)/python -m tests.tools.page

docs: $(INSTALLED)  ## the documentation as a site, in site/; a warning is an error
	$(PIP) -e '.[docs]'
	$(BIN)/python -m tests.tools.docs
	$(BIN)/python -m tests.tools.gallery
	$(BIN)/symcnn page examples/networks/unet.py:unet --input "N 3 H W" --out docs/unet.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

package: $(INSTALLED)  ## wheel and sdist in dist/, as a package index takes them
	$(PIP) -e '.[package]'
	rm -rf dist && $(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*

proofs:  ## Coq checks the laws from nothing, and that they assume nothing
	command -v coqc > /dev/null || apt-get install -y -q --no-install-recommends coq
	rm -rf build/proofs && mkdir -p build/proofs && cp docs/proofs/*.v build/proofs
	cd build/proofs && for file in $(shell cat docs/proofs/order); do coqc -q -R . Top $$file.v || exit 1; done
	cd build/proofs && (echo "Require Import $(shell cat docs/proofs/order)." && \
		echo "Definition laws := ($$(sed -n 's/^Theorem \([a-z_]*\).*/\1/p' *.v | paste -sd,))." && \
		echo "Print Assumptions laws.") > All.v
	cd build/proofs && coqc -q -R . Top All.v | tee said && grep -q "Closed under the global context" said

clean:
	rm -rf $(VENV) site build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(LIBRARY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e .
	touch $@

$(INSTALLED): $(LIBRARY)
	$(PIP) -e '.[dev]'
	touch $@
