# SPDX-License-Identifier: MIT
# Host tests of the kernel above machine.h: unit tests, random calls and fuzzers, under ASan and UBSan.
#
#   make -f test/host/kernel.mk            builds and runs all with gcc and clang
#   make -f test/host/kernel.mk fuzz       libFuzzer, FUZZ_SECONDS each

HK_OUT ?= build/host
HK_SOURCES = $(addprefix kernel/,lock.c account.c cap.c cap_revoke.c mem.c hold.c space.c \
	sweep.c flush.c tlb.c protect.c range.c check/account.c check/cap.c check/drop.c check/mem.c check/space.c) test/host/machine.c test/host/env_double.c
HK_TESTS = account cap mem space tlb smp
HK_ALONE = firmware device boot platform # include what they test, and nothing else of the kernel
HK_CFLAGS = -std=gnu11 -g -O1 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wundef -Wvla -Iinclude -pthread
HK_SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all
HK_SECTIONS = -Wl,--defsym=counter_defs_begin=__start_counter_defs \
	-Wl,--defsym=trace_defs_begin=__start_trace_defs
HK_DEPENDS = $(HK_SOURCES) $(wildcard kernel/*.h include/aegis/*) test/host/host.h test/host/kernel.mk
FUZZ_SECONDS ?= 30

.PHONY: test-kernel-host fuzz-kernel-host fuzz

test-kernel-host: $(foreach c,gcc clang,$(addprefix run-$(c)-,$(HK_TESTS) $(HK_ALONE) random))

define HK_COMPILER
$(HK_OUT)/%_test.$(1): test/host/%_test.c $$(HK_DEPENDS)
	@mkdir -p $$(@D)
	$(1) $$(HK_CFLAGS) $$(HK_SANITIZE) $$(HK_SOURCES) $$< -o $$@ $$(HK_SECTIONS)

$(HK_ALONE:%=$(HK_OUT)/%_test.$(1)): $(HK_OUT)/%_test.$(1): test/host/%_test.c test/host/alone.h $(wildcard kernel/*.h kernel/*/*.[ch])
	@mkdir -p $$(@D)
	@$(1) $$(HK_CFLAGS) -I. $$(HK_SANITIZE) $$< -o $$@

$(HK_OUT)/random_test.$(1): test/fuzz/mem_fuzz.c $$(HK_DEPENDS)
	@mkdir -p $$(@D)
	$(1) $$(HK_CFLAGS) -O2 -DFUZZ_MAIN $$(HK_SANITIZE) $$(HK_SOURCES) $$< -o $$@ $$(HK_SECTIONS)

run-$(1)-%: $(HK_OUT)/%_test.$(1)
	@$$< >$$<.tap || { cat $$<.tap; false; }
	@echo "ok $(1) $$*: $$$$(grep -c ^ok $$<.tap) cases"
endef
$(foreach c,gcc clang,$(eval $(call HK_COMPILER,$(c))))

$(HK_OUT)/mem_fuzz: test/fuzz/mem_fuzz.c $(HK_DEPENDS)
	@mkdir -p $(@D)
	clang $(HK_CFLAGS) -O2 -fsanitize=fuzzer,address,undefined $(HK_SOURCES) $< -o $@ $(HK_SECTIONS)

fuzz fuzz-kernel-host: $(HK_OUT)/mem_fuzz
	@mkdir -p $(HK_OUT)/mem_corpus
	$(HK_OUT)/mem_fuzz -max_len=8192 -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
		-artifact_prefix=$(HK_OUT)/ $(HK_OUT)/mem_corpus
