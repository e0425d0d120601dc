# Thin: what the targets do is in scripts/ and bench/.

.DEFAULT_GOAL := help
.PHONY: help run start stop build test fuzz lint bench clean

help: ## Shows this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Starts a server with the sample services in demo/; Ctrl-C stops it
	@scripts/demo run

start: build ## The same in the background
	@scripts/demo start

stop: ## Stops what `make run` or `make start` started
	@scripts/demo stop

build: ## Builds target/release/busbar, after installing what is missing for it
	@scripts/setup
	@scripts/build

test: ## Runs every check and every test
	@scripts/setup test
	@scripts/test

fuzz: ## Sends made-up requests to the management services; EXAMPLES=5 sends fewer
	@scripts/setup fuzz
	@scripts/fuzz-management $(EXAMPLES)

lint: ## Runs the checks only
	@scripts/setup
	@scripts/test lint

bench: ## Measures busbar against its peers; PART=bare runs one part
	@scripts/setup bench
	@scripts/build
	@.venv/bin/python bench/run.py $(foreach part,$(PART),--part $(part))

clean: stop ## Removes the demo and what was built
	rm -rf demo target .venv .venv-sqlalchemy-1.4 .venv-sqlalchemy-2.0 .bench-venv .fuzz-venv
