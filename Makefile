# `make help` lists the targets. Needs Python 3.11 or newer and make, nothing else.
# PYTHON picks the interpreter that makes .venv:           make tutorial PYTHON=python3.12
# PIP_EXTRA_INDEX_URL is pip's own variable. On Linux without a GPU, point it at PyTorch's CPU
# wheels (their address stands in PyTorch's installation guide) to save gigabytes of CUDA.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
TOY := runs/toy_a2d_small
GRID ?= dtse_core/experiments/grids/smoke.toml
STRICT := $(wildcard notebooks/0[0-7]_*.ipynb)
LAX := $(wildcard notebooks/0[89]_*.ipynb notebooks/1[0-9]_*.ipynb)
JOBS ?= 2
# nbval compares what `make tutorial` has executed, if nothing has changed since, instead of executing it anew.
CHANGED = $(shell find notebooks dtse_core requirements.lock -type f ! -name '*.pyc' ! -path '*/runs/*' -newer $(1) -print -quit)
ifndef EXECUTED
EXECUTED := $(foreach page,$(wildcard runs/tutorial/index.html),$(if $(call CHANGED,$(page)),,runs/tutorial))
endif
NBVAL := -n $(JOBS) --dist loadscope -p no:cacheprovider --nbval-current-env --nbval-sanitize-with tests/sanitize.cfg $(if $(EXECUTED),-p tests.executed)

# A lock's versions without hashes, for environments that change some; a lock's torch, and a lock without it.
PLAIN := sed -nE 's/^([[:alnum:]][^\\]*[^ \\]).*/\1/p'
ONLY_TORCH := awk '/^torch==/,!/\\$$/'
WITHOUT_TORCH := awk '/^torch==/,!/\\$$/ {next} 1'
LOCKED_TORCH := $(shell sed -nE 's/^torch==([0-9.]+).*/\1/p' requirements.lock)

export OMP_NUM_THREADS ?= 1
export DTSE_HEADLESS := 1
export HF_HUB_OFFLINE ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export EXECUTED
unexport PYTHONDONTWRITEBYTECODE  # set in many containers: there each of hundreds of processes would compile torch anew

.PHONY: tutorial test test-colab test-pythons test-browser test-compat test-gpu gallery coverage mutation lint lock notebooks heads bench experiments release-tools audit sbom soak release-check help clean

tutorial: $(READY) ## run every notebook; pages and a table under runs/tutorial/
	$(PY) data_scripts/make_toy_world.py --layout a2d --out $(TOY) --train 100 --test 25
	$(PY) -m dtse_core.experiments.runner notebooks --out runs/tutorial --jobs $(JOBS)

test: lint ## lint, unit tests, notebook hygiene and parity, nbval
	$(PY) -m pytest -n $(JOBS) --dist worksteal tests/unit
	$(PY) -m pytest -n $(JOBS) --dist worksteal tests/notebooks
	$(PY) -m pytest $(NBVAL) --nbval $(STRICT)
	$(PY) -m pytest $(NBVAL) --nbval-lax $(LAX)

# Colab's versions, with their date, are in tests/colab/versions.txt; LIST=... takes another list, TORCH=listed its torch.
LIST ?= tests/colab/versions.txt
TORCH ?= $(LOCKED_TORCH)
COLAB := .venv-colab
test-colab: $(COLAB)/.ready ## each notebook alone, with Colab's versions and from its own first cell
	$(PY) tools/colab.py run $(COLAB) --list $(LIST) --out runs/colab --jobs $(JOBS)

$(COLAB)/.ready: $(READY) $(LIST) tools/colab.py
	$(PY) tools/colab.py build $(COLAB) --list $(LIST) --torch $(TORCH)
	@touch $@

# torch has no CPU build for every Python everywhere: all else is resolved and installed, and what needs no torch is run.
PYTHONS ?= python3.12 python3.13
NO_TORCH := tests/notebooks/test_parity.py \
  $(patsubst %,tests/unit/test_%.py,archives config environment published toy_level2_edition writing_matrix written_whole)
ON_PYTHONS := $(addprefix test-on-,$(PYTHONS))
test-pythons: $(ON_PYTHONS) ## all but torch on other Pythons: PYTHONS="python3.12 python3.13"
.PHONY: $(ON_PYTHONS)
$(ON_PYTHONS): test-on-%: .venv-%/.ready
	$(<D)/bin/python -m pytest -p no:cacheprovider $(NO_TORCH)

.venv-python3.%/.ready: requirements.lock requirements-dev.lock
	python3.$* -m venv $(@D)
	$(WITHOUT_TORCH) requirements.lock > $(@D)/runtime.txt
	$(WITHOUT_TORCH) requirements-dev.lock | $(PLAIN) > $(@D)/whole.txt
	$(@D)/bin/python -m pip install --quiet --no-deps --dry-run --ignore-installed --only-binary :all: -r $(@D)/whole.txt
	$(@D)/bin/python -m pip install --quiet --no-deps -r $(@D)/runtime.txt
	$(@D)/bin/python -m pip install --quiet -c $(@D)/whole.txt pytest hypothesis ruff imageio-ffmpeg
	{ $(@D)/bin/python -m pip check || true; } | { ! grep -vE 'requires torch, which|^No broken'; }
	$(@D)/bin/python -m pip install --quiet --upgrade av  # the newest, as Colab installs it, is not for the lock's Python
	@touch $@

# What pyproject.toml says is enough: each package that it names at its lower bound, and what these need. Of torch PyPI has
# no CPU build for Linux, so it is the lock's unless COMPAT_TORCH names the oldest.
COMPAT := .venv-compat
COMPAT_TORCH ?= $(LOCKED_TORCH)
test-compat: $(COMPAT)/.ready ## the model's tests on the oldest packages that pyproject.toml allows
	$(COMPAT)/bin/python -m pytest -n $(JOBS) $(patsubst %,tests/unit/test_%.py,layers streams vlmg lmdf encoder decoder model batch predict a2d video config)

$(COMPAT)/.ready: $(DEV) pyproject.toml
	$(PYTHON) -m venv $(COMPAT)
	$(VENV)/bin/uv pip compile pyproject.toml --quiet --no-config --no-header --no-annotate --extra data --resolution lowest-direct \
	  --python $(COMPAT) | grep -vE '^(torch|triton|(nvidia|cuda)-.*)==' > $(COMPAT)/oldest.txt
	$(PY) -m pip freeze | grep -E '^(pytest|pytest-xdist|hypothesis)==' > $(COMPAT)/tests.txt
	$(COMPAT)/bin/python -m pip install --quiet 'torch==$(COMPAT_TORCH)'
	$(COMPAT)/bin/python -m pip install --quiet -r $(COMPAT)/oldest.txt -r $(COMPAT)/tests.txt
	$(COMPAT)/bin/python -m pip install --quiet --no-deps -r requirements-testdata.lock
	$(COMPAT)/bin/python -m pip install --quiet --no-deps -e .
	@touch $@

test-gpu: $(DEV) ## lessons, masks, trainings and memory on a GPU; fails where there is none
	$(PY) -m pytest -q -s tests/gpu

# The site is as new as what it shows; a warning is an error, and leaves no front page behind.
SITE := runs/gallery/index.html
gallery: $(SITE) ## all executed notebooks, figures, API and register as a site; open runs/gallery/index.html
$(SITE): $(DEV) CONTRIBUTING.md $(wildcard docs/*.* docs/decisions/*.md benchmarks/*.md benchmarks/*/*.md dtse_core/*/*/*.md notebooks/*.ipynb notebooks/lessons.toml figures/*.* figures/strips/*.png dtse_core/*.py dtse_core/*/*.py)
	rm -rf runs/gallery docs/api
	$(VENV)/bin/sphinx-build --fail-on-warning --keep-going --fresh-env -c docs -d runs/gallery_cache . runs/gallery

# Environments over .venv: what Gradio or Cosmic Ray needs besides, or in another version, lies in front.
DEMO := .venv-demo
MUTATION := .venv-mutation
$(DEMO)/.ready $(MUTATION)/.ready: .venv-%/.ready: $(DEV) requirements-%.lock
	$(PY) -m venv --clear --without-pip $(@D)
	$(PY) -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' > $(@D)/below.pth
	mv $(@D)/below.pth $(@D)/lib/python3.*/site-packages/
	$(@D)/bin/python -m pip install --quiet --no-deps -r requirements-$*.lock
	@touch $@

test-browser: $(SITE) $(DEMO)/.ready ## the site, two notebooks and the demo in a real browser; needs Chromium, pictures under runs/browser/
	@command -v chromium >/dev/null || { echo "make test-browser needs Chromium: apt-get install chromium"; exit 1; }
	$(PY) -m pytest -n $(JOBS) --dist loadfile tests/browser  # by file: each empties a folder of pictures first

coverage: $(DEV) ## which lines and branches of dtse_core the tests take; fails below 95 %
	rm -rf runs/coverage
	$(PY) -m coverage run -m pytest -n $(JOBS) --dist worksteal tests/unit tests/notebooks
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report

MODULES ?=
mutation: $(MUTATION)/.ready ## do tests notice a changed operator, number or condition? MODULES="losses vlmg" for some
	$(MUTATION)/bin/python benchmarks/mutation.py $(MODULES)

lint: $(DEV) ## ruff, codespell and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/codespell
	$(VENV)/bin/mypy

notebooks: $(READY) heads ## re-execute the notebooks and save their outputs
	$(PY) -m dtse_core.experiments.runner notebooks --write --jobs $(JOBS)
	$(PY) tools/heads.py --write  # README.md counts the claims

heads: $(READY) ## rewrite the generated parts: notebook heads and the tables of both README.md
	$(PY) tools/heads.py --write

experiments: $(READY) ## run a grid of experiments, gather and compare: GRID=dtse_core/experiments/grids/smoke.toml
	$(PY) -m dtse_core.experiments run $(GRID)
	$(PY) -m dtse_core.experiments collect $(GRID)
	$(PY) -m dtse_core.experiments report $(GRID)

# What checks a release has an environment of its own. The audit asks PyPI; where CI is set, a package without an answer fails.
RELEASE := .venv-release
release-tools: $(RELEASE)/.ready
$(RELEASE)/.ready: requirements-release.lock
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet --no-deps -r requirements-release.lock
	@touch $@

audit: $(RELEASE)/.ready ## known faults of the packages in the locks
	for lock in requirements requirements-dev requirements-release; do \
	  $(RELEASE)/bin/pip-audit $(if $(CI),--strict) --require-hashes --disable-pip --progress-spinner off -r $$lock.lock; done

sbom: $(RELEASE)/.ready ## the list of parts (CycloneDX): dist/dtse.cdx.json
	mkdir -p dist
	$(RELEASE)/bin/cyclonedx-py requirements --output-reproducible --output-file dist/dtse.cdx.json requirements.lock

MINUTES ?= 30
soak: $(DEV) ## one process at work for MINUTES, then 2,000 frames: nothing it holds may grow
	$(PY) benchmarks/soak.py --minutes $(MINUTES) --frames 2000 --json runs/soak.json --figure runs/soak.png

release-check: $(DEV) audit sbom ## audit, list of parts, licences, the wheel built twice and used in an empty environment, hostile inputs, soak
	$(PY) tools/licences.py
	$(RELEASE)/bin/python tools/dist.py build
	$(PYTHON) tools/dist.py try
	HOSTILE=300 $(PY) -m pytest -n $(JOBS) tests/unit/test_hostile.py
	$(MAKE) soak

bench: $(DEV) ## run the benchmarks; NAME=... for one
	$(PY) benchmarks/bench.py $(NAME) --json

lock: $(DEV) ## write all locks anew; UPGRADE=--upgrade takes newest versions
	$(PY) tools/lock.py $(UPGRADE)

# Not compiled: each file is, when it is first imported, and most never are, which saves a third of the time.
# Stamped last: an interrupted installation resumes at the next call. torch comes first, the build that
# pip finds best: among files with known hashes it would take PyPI's, which asks for CUDA's libraries on Linux, and leave
# out one from a folder.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.version_info >= (3, 11) or sys.exit( \
	  f"dtse needs Python 3.11 or newer; $(PYTHON) is {v}. Name another one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip download --quiet --no-deps --dest $(VENV)/torch torch==$(LOCKED_TORCH)
	$(PY) -m pip install --quiet --no-compile --no-deps --no-index --find-links $(VENV)/torch -r <($(ONLY_TORCH) requirements.lock)
	rm -rf $(VENV)/torch
	$(PY) -m pip install --quiet --no-compile --no-deps -r requirements.lock
	if $(PY) -m pip show torch | grep '^Requires:.*nvidia' >/dev/null; then \
	  $(PY) -m pip install --quiet --no-compile --no-deps -r requirements-cuda.lock; fi
	$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): $(READY) requirements-dev.lock requirements-testdata.lock
	$(PY) -m pip install --quiet --no-compile --no-deps -r requirements-dev.lock
	$(PY) -m pip install --quiet --no-deps -r requirements-testdata.lock
	@touch $@

clean: ## remove what these targets made; keeps .venv and your own runs
	rm -rf runs/tutorial runs/colab runs/gallery* runs/jupyter_execute runs/browser docs/api $(TOY) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
