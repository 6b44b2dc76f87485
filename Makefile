# Set-up happens by itself: the first target that needs the packages installs them into .venv. The demo needs few of them.
PYTHON ?= python3
BIN := .venv/bin
# uv is many times as fast, but not needed. Of pip, only errors are shown: its warnings are about its own settings. It need not
# compile every module: Python does so when one is first used, which takes half as long in all.
PIP = $(if $(shell command -v uv),uv pip install --quiet --no-config --python $(BIN)/python,$(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check)
COMPILE = uv pip compile --universal --generate-hashes --python-version 3.11 --no-header --no-emit-index-url
# What `make bench` runs on: a folder of two class folders, and how many images it draws for the check of very many.
PHOTOS = mien-demo/data
NUM_IMAGES = 5000
# How much `make fuzz` and `make kills` do.
NUM_INPUTS = 100000
NUM_KILLS = 200
# How long `make overload` goes on.
MINUTES = 10
# Where ONNX Runtime Web lies, and the larger part of it.
RUNTIME = src/mien/exports/runtime
WASM = ort-wasm-simd-threaded.wasm
# On Debian, as root, what a target needs can be had at once.
INSTALL = test "$$(id -u)" = 0 && apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends

# Tests run in a process for each core; more than four would take more memory than they save time.
PYTEST = $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# What Python has compiled is kept, or each process would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
# An environment that happens to be active is none of ours; IPython warns where it is another one.
unexport VIRTUAL_ENV

.PHONY: setup web demo demo-all quick test slow extras coverage proxy browser check notebooks docs docs-write docs-check docs-notebooks release bench fuzz kills overload domains format lock clean
.DEFAULT_GOAL := help

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 11

setup: .venv/ready ## install mien and everything it can use into .venv

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("mien needs Python 3.11 or later; type: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv .venv

.venv/ready: requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing mien and everything it can use into .venv: 3 GB, some minutes"
	@$(PIP) --require-hashes --requirement requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch .venv/demo-ready $@

.venv/demo-ready: requirements-demo.lock pyproject.toml | $(BIN)/python
	@echo "installing mien and what its demo needs into .venv: 350 MB, less than a minute"
	@$(PIP) --require-hashes --requirement requirements-demo.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

web: $(RUNTIME)/$(WASM) ## fetch ONNX Runtime Web, which mien export puts into pages

$(RUNTIME)/$(WASM): $(RUNTIME)/package-lock.json
	@command -v npm || { $(INSTALL) npm; } || \
		{ echo "make web needs npm: install Node.js, on Debian by: apt-get install npm"; exit 1; }
	npm ci --ignore-scripts --prefix $(RUNTIME)
	cp $(addprefix $(RUNTIME)/node_modules/onnxruntime-web/dist/,$(WASM) ort.wasm.bundle.min.mjs) $(RUNTIME)
	rm -r $(RUNTIME)/node_modules
	touch $@

demo: .venv/demo-ready ## draw happy and sad people, train on them, judge others
	@$(BIN)/mien demo

demo-all: .venv/ready ## the same, with the network of a tutorial beside it
	@$(BIN)/mien demo --all

quick: .venv/ready ## run the tests that train nothing and start no process, in half a minute
	$(PYTEST) -m "not (medium or slow or proxy or browser or site or extras)"

test: .venv/ready ## run the tests, but for the slow ones, in two minutes
	$(PYTEST) -m "not (slow or proxy or browser or site or extras)"

slow: .venv/ready ## run the tests that take minutes, and those of the networks of Keras
	$(PYTEST) -m slow --durations 10

extras: .venv/ready ## run the tests of what an extra brings that few use
	$(PYTEST) -m extras

coverage: .venv/ready ## run the tests, but for the slow ones, and say how much of each room they go through
	$(PYTEST) -m "not (slow or proxy or browser or site or extras)" --cov=mien --cov-report=
	$(BIN)/python tools/coverage_by_room.py

proxy: .venv/ready ## put nginx and Caddy before the server, and try what they keep off; installs them where that is possible
	@{ command -v nginx || command -v /usr/sbin/nginx; } && command -v caddy || { $(INSTALL) nginx-light caddy; } || \
		{ echo "make proxy needs nginx and Caddy: install them, on Debian by: apt-get install nginx-light caddy"; exit 1; }
	$(BIN)/pytest -m proxy

browser: .venv/ready tests/browser/node_modules $(RUNTIME)/$(WASM) ## look at the pages in Chromium; installs it where that is possible
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
		{ $(INSTALL) chromium fonts-dejavu-core; } || \
		{ echo "make browser needs Chromium: install it, on Debian by: apt-get install chromium"; exit 1; }
	$(PYTEST) -m browser

tests/browser/node_modules: tests/browser/package-lock.json
	@command -v npm || { $(INSTALL) npm; } || \
		{ echo "make browser needs npm: install Node.js, on Debian by: apt-get install npm"; exit 1; }
	npm ci --ignore-scripts --prefix tests/browser
	touch $@

check: .venv/ready ## format, lint, types, and phrases that nobody would say
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	printf '%s\n' win32 darwin | xargs -I % -P 2 $(BIN)/mypy --platform % --cache-dir .mypy_cache/% src tests
	$(BIN)/lint-imports --no-cache --no-logo
	@! git grep -nFf tools/banned_phrases.txt -- src docs notebooks README.md || \
		{ echo "nobody would say this: see tools/banned_phrases.txt"; exit 1; }
	$(BIN)/nbstripout --verify --keep-id notebooks/*.ipynb

notebooks: .venv/ready ## run the notebooks; with outputs they lie in notebooks/executed
	$(BIN)/python tools/execute_notebooks.py notebooks/executed notebooks/*.ipynb

bench: .venv/ready .venv-bench/ready $(filter mien-demo/data,$(PHOTOS)) ## time mien beside others, on drawn people or PHOTOS=folder
	$(BIN)/python benchmarks/decode.py "$(PHOTOS)"
	$(BIN)/python benchmarks/scan.py "$(PHOTOS)" --cleanvision-python .venv-bench/bin/python
	$(BIN)/python benchmarks/label_issues.py "$(PHOTOS)" --cleanlab-python .venv-bench/bin/python
	$(BIN)/python benchmarks/near_copies.py
	$(BIN)/python benchmarks/heads.py
	$(BIN)/python benchmarks/features.py "$(PHOTOS)"
	$(BIN)/python benchmarks/stress.py "$(PHOTOS)"
	$(BIN)/python benchmarks/active.py "$(PHOTOS)" --skactiveml-python .venv-bench/bin/python
	$(BIN)/python benchmarks/review.py "$(PHOTOS)"
	$(BIN)/python benchmarks/layouts.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/honesty.py "$(PHOTOS)"
	$(BIN)/python benchmarks/enough.py "$(PHOTOS)"
	$(BIN)/python benchmarks/faces.py "$(PHOTOS)"
	$(BIN)/python benchmarks/distortions.py "$(PHOTOS)"
	$(BIN)/python benchmarks/explanation.py
	$(BIN)/python benchmarks/scale.py --num-images $(NUM_IMAGES)
	$(BIN)/python benchmarks/predict.py "$(PHOTOS)"
	$(BIN)/python benchmarks/predict.py "$(PHOTOS)" --preset classic
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/train.py "$(PHOTOS)"
	$(BIN)/python benchmarks/epochs.py "$(PHOTOS)"
	$(BIN)/python benchmarks/serve.py "$(PHOTOS)" --litserve-python .venv-bench/bin/python

docs: .venv/ready ## check that the pages say what their commands print, build the site into docs/_build/html, follow its links
	@echo "this takes some minutes: the commands in the pages and the notebooks are run"
	@$(MAKE) --no-print-directory --jobs 2 docs-check docs-notebooks
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --fresh-env docs docs/_build/html
	@$(BIN)/pytest --quiet -m site
	@echo "the site is in docs/_build/html; begin with docs/_build/html/index.html"

docs-write: .venv/ready ## write what their commands print into the pages, and draw the pictures
	@$(BIN)/python docs/written.py

docs-check: .venv/ready
	@$(BIN)/python docs/written.py --check

docs-notebooks: .venv/ready
	@rm -rf docs/_build/notebooks
	@$(BIN)/python tools/execute_notebooks.py docs/_build/notebooks notebooks/*.ipynb

release: .venv/ready $(RUNTIME)/$(WASM) ## build the wheel and the source archive into dist/, and try each in a new environment
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist
	$(BIN)/python tools/try_release.py dist

fuzz: .venv/ready ## mutate image files until something breaks
	$(BIN)/python benchmarks/fuzz.py --num-inputs $(NUM_INPUTS)

kills: .venv/ready ## kill commands at random moments, and count what is lost
	$(BIN)/python benchmarks/kills.py --num-kills $(NUM_KILLS)

overload: .venv/ready ## ask more of the server than it can do, and compare each reply
	$(BIN)/python benchmarks/overload.py --minutes $(MINUTES)

domains: .venv/ready ## draw X-rays, digits and other kinds of images, and count what is wrongly called a copy
	$(BIN)/python benchmarks/domains.py

mien-demo/data: | .venv/ready
	$(BIN)/python -c 'from mien.data.samples import draw; draw("mien-demo")'

.venv-bench/ready: benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --requirement benchmarks/requirements.txt
	touch $@

format: .venv/ready ## put the code in its form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/nbstripout --keep-id notebooks/*.ipynb

lock: ## work out requirements.lock anew, and what the demo and a server need of it (needs uv)
	$(COMPILE) --all-extras --group dev --upgrade pyproject.toml --output-file requirements.lock
	$(COMPILE) --group build --constraint requirements.lock pyproject.toml \
		--output-file requirements-demo.lock
	$(COMPILE) --extra serve --constraint requirements.lock pyproject.toml --output-file deploy/requirements.lock

clean: ## remove what make has made
	rm -rf .venv .venv-bench dist docs/_build tests/browser/node_modules $(RUNTIME)/ort* mien-demo runs fuzz-failures .pytest_cache .mypy_cache .ruff_cache .coverage*
