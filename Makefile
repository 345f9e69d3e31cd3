# SPDX-License-Identifier: Apache-2.0
# What one does with a checkout. All paths are relative, so it works where the path has spaces.

PYTHON := .venv/bin/python
# More workers than a small machine has cores: network tests wait more than they compute.
JOBS ?= 6
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install install-tests demo test lint unit test-long test-sheets test-truth test-vm test-bare test-apparmor bench bundle messages \
	dist sbom clean

help:  ## this list
	@echo 'hoplab: follow one real packet across every hop'
	@echo
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16 | sed 's/^/  make /'
	@echo
	@echo 'ARGS=... is handed on: make demo ARGS="--controller hub", make unit ARGS="-k dns"'

install:  ## what a lab needs: packages through apt, Ryu and the rest in .venv
	@scripts/install.sh

install-tests:  ## the same, and what the tests need
	@scripts/install.sh --with-tests

demo: install  ## install what is missing, then visit a page and tell what its packets did
	@.venv/bin/hoplab visit --name demo --down $(ARGS)
	@echo '  That lab is gone again. Your own: .venv/bin/hoplab up web; .venv/bin/hoplab visit'

test: install-tests lint  ## install what is missing, then style, types and all tests but the long
	$(PYTHON) -m pytest -n $(JOBS) --dist worksteal -rs --durations=30 $(ARGS)

lint: install-tests  ## style and types
	$(PYTHON) -m ruff check .
	scripts/types.sh

unit: install-tests  ## the tests without a network
	$(PYTHON) -m pytest -n $(JOBS) -rs tests/unit $(ARGS)

messages: install-tests  ## put new sentences into the catalogues of other languages, and check them
	$(PYTHON) scripts/messages.py update
	$(PYTHON) scripts/messages.py check

test-long: install-tests  ## the long tests
	$(PYTHON) -m pytest -m hypothesis --hypothesis-profile=new -n $(JOBS) -rs tests/unit
	$(PYTHON) -m pytest -m long -n $(JOBS) -rs --durations=10 $(ARGS)

test-sheets: install-tests  ## right and wrong solutions of the lab sheets, judged: ARGS="03 --seed 7"
	nice $(PYTHON) scripts/mutation_score.py $(ARGS)

test-truth: install-tests  ## runs of all kinds, judged by an oracle of its own: ARGS="--runs 200 --seed 1"
	nice $(PYTHON) -m truth.campaign $(ARGS)

bench: install-tests  ## every benchmark but the soak: ours beside a real peer, as ratios
	@failed=; for file in $(filter-out bench/soak.py,$(wildcard bench/*.py)); do \
		echo "== $$file"; $(PYTHON) "$$file" $(ARGS) || failed="$$failed $$file"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }

test-vm: ## provision a virtual machine as vagrant does, and run the network tests inside
	tests/machines/vm.sh $(ARGS)

test-bare: ## install on bare Debian and Ubuntu root file systems and run there (as root)
	tests/machines/bare.sh $(ARGS)

test-apparmor: ## a lab as a user under Ubuntu's own kernel, with its rule on namespaces (as root)
	tests/machines/apparmor.sh

bundle:  ## a folder for machines without a network: scripts/install.sh --from bundle
	@scripts/make_bundle.sh $(ARGS)

dist: install-tests sbom  ## the wheel and the source archive in dist, and the bill of materials
	$(PYTHON) -m build $(ARGS)

sbom: install  ## dist/hoplab.cdx.json: what is shipped and needed, with licences (CycloneDX)
	@mkdir -p dist
	@$(PYTHON) scripts/make_sbom.py dist/hoplab.cdx.json

clean:  ## take away .venv and everything that was built or cached here
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis test-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
