# Everything that people do with a clone. `make` alone lists it.
SHELL := /bin/bash
PREFIX ?= /usr/local

.DEFAULT_GOAL := help
.PHONY: help run test sanitize fuzz soak bench build docs format lint install clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## install what running needs, build, start on 127.0.0.1:8080 with the examples (STERNA_LISTEN=host:port)
	@scripts/run

test: ## install what is missing, build, run the unit, runtime, bench, end-to-end and fault tests, format and layer check
	@scripts/test

sanitize: ## unit tests and a part of the end-to-end tests under ASan+UBSan and TSan
	@scripts/test asan tsan

fuzz: ## drive what reads bytes from strangers with libFuzzer, each target for FUZZ_SECONDS=600
	@scripts/install-deps build run test
	@cmake --preset fuzz --log-level=WARNING && cmake --build --preset fuzz -- --quiet
	@tests/fuzz/run

soak: build ## half of peak load with faults for SOAK_SECONDS=3600; table, build/soak/soak.csv and soak.svg
	@scripts/install-deps test
	@SOAK_SECONDS=$${SOAK_SECONDS:-3600} STERNA_BIN=$(CURDIR)/build/sterna /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/fault/test_soak.py

bench: ## measure Sterna and its peers side by side
	@scripts/install-deps build run bench
	@scripts/build
	@bench/run

build: ## build build/sterna and what it needs to run
	@scripts/install-deps build run
	@scripts/build

docs: build ## write the flags in docs/cli.md again, as the program has them
	@build/sterna reference docs/cli.md

format: ## format the C++ sources in place
	@scripts/format

lint: ## clang-tidy over our C++ sources (needs a configured build)
	@scripts/lint

install: build ## copy into PREFIX (default /usr/local; DESTDIR is honoured)
	@DESTDIR="$(DESTDIR)" cmake --install build --prefix "$(PREFIX)"

clean: ## remove what was built
	rm -rf build
