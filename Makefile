# SPDX-License-Identifier: MIT
# Everything is built from here: the kernel, ExOS, the host command, and their tests.
# `make help` lists the goals.  Building needs only what tools/setup installs.

MAKEFLAGS += --no-builtin-rules
CC = gcc

.DEFAULT_GOAL := all
.PHONY: all run gdb test check prove size docs clean help
.DELETE_ON_ERROR:

include kernel/kernel.mk
include exos/exos.mk
-include libos/libos.mk
-include test/test.mk
-include bench/bench.mk
-include examples/examples.mk

HOST_CFLAGS = -std=gnu11 -O2 -g -I. -Iinclude -Wall -Wextra -Werror -Wshadow \
	-Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
HOST_OBJECTS = $(patsubst %,build/host/%.o,$(wildcard host/*.c))

build/host/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) -MMD -MP -c -o $@ $<

exo: $(HOST_OBJECTS)
	$(CC) -o $@ $(HOST_OBJECTS)

-include $(HOST_OBJECTS:.o=.d)

build/aegis.elf: build/kernel/aegis.elf
	@ln -sf kernel/aegis.elf $@

all: exo build/aegis.elf build/exos build/libexos.a $(LIBOSES) examples

# An interactive shell; with input from a pipe, that is its script.
run: setup-build
	@$(MAKE) -s all
	@./exo run /bin/busybox sh

gdb: setup-build
	@$(MAKE) -s all
	@./exo run --gdb /bin/busybox sh

.PHONY: setup-build setup-test setup-check
setup-build:
	@tools/setup build
setup-test:
	@tools/setup build test
setup-check:
	@tools/setup build check

test: setup-test
	@$(MAKE) -s all
	@test/run

size:
	@tools/size

docs:
	@tools/abidoc >docs/abi.md

check: setup-check
	@tools/check

prove:
	@tools/setup prove
	@test/proof/run

.PHONY: nightly coverage
nightly:
	@tools/setup build test check prove
	@test/nightly

coverage: setup-test
	@tools/coverage

clean:
	rm -rf build exo

help:
	@echo 'make all     the kernel, ExOS and ./exo'
	@echo 'make run     a shell on ExOS (installs what is missing)'
	@echo 'make test    all tests (installs what is missing); test/run -h for parts of it'
	@echo 'make gdb     the shell, waiting for gdb'
	@echo 'make check   format, lint, static analysis, stack depths'
	@echo 'make bench   measure against Linux (fetches its kernel); bench/run --help for parts of it'
	@echo 'make prove   model checking and proofs'
	@echo 'make coverage branches of the kernel that tests take'
	@echo 'make nightly ten million random calls, fuzzers, chaos, proofs: hours'
	@echo 'make size    lines by file'
	@echo 'make docs    docs/abi.md from include/aegis'
	@echo 'make clean   removes what was built'
