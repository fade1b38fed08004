# SPDX-License-Identifier: MIT
# Everything is built from here: the kernel, ExOS, the host command, and their tests.  `make help` lists the goals.

MAKEFLAGS += --no-builtin-rules
CC = gcc

.PHONY: all run gdb test check prove size bench clean help setup
.DELETE_ON_ERROR:

all: exo build/kernel/aegis.elf build/exos

include kernel/kernel.mk
include exos/exos.mk

build/aegis.elf: build/kernel/aegis.elf
	@ln -sf kernel/aegis.elf $@
all: build/aegis.elf
