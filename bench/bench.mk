# SPDX-License-Identifier: MIT
# Benchmarks: each program of bench/ for Linux and for ExOS, the runner, the counting plugin, the Linux guest's init.
# A new source is one more word in BENCH_PROGRAMS, and in BENCH_NATIVE if it has a row of its own for ExOS.

BENCH_PROGRAMS = null file fault ipc vm process switch compute collector
BENCH_NATIVE = null fault ipc vm pagetable collector
B = build/bench
BENCH_CFLAGS = -std=gnu11 -O2 -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wundef -Wvla -fcf-protection=none
BENCH_RUNNER = $(patsubst %.c,$(B)/%.o,$(wildcard bench/runner/*.c))

COLLECTOR = bench/collector.c bench/bench.c examples/gc/collector.c examples/gc/mutator.c
$(B)/linux/collector: $(COLLECTOR) bench/bench.h examples/gc/mutator.h build/libexos.a bench/bench.mk
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -Iinclude -static -o $@ $(COLLECTOR) build/libexos.a

$(B)/exos/collector: $(COLLECTOR) bench/bench.h examples/gc/mutator.h build/libexos.a bench/bench.mk
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -DEXOS -Iinclude -static -o $@ $(COLLECTOR) build/libexos.a

$(B)/linux/%: bench/%.c bench/bench.c bench/bench.h bench/mark.h bench/pages.h bench/bench.mk
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -static -o $@ $< bench/bench.c

$(B)/exos/%: bench/%.c bench/bench.c bench/bench.h bench/mark.h bench/pages.h build/libexos.a \
		$(wildcard include/exos/*.h) bench/bench.mk
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -DEXOS -Iinclude -static -o $@ $< bench/bench.c build/libexos.a

$(B)/linux/small: bench/small.c bench/bench.mk
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -static -nostdlib -Wl,--build-id=none -o $@ $<

$(B)/linux/libc: bench/libc.c bench/bench.mk
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -static -o $@ $<

$(B)/linux/boot $(B)/linux/init: $(B)/linux/%: bench/booted.c bench/bench.h bench/mark.h bench/bench.mk
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -static -o $@ $(filter %.c,$^)
$(B)/linux/boot: bench/boot.c
$(B)/linux/init: bench/linux/init.c

$(B)/plugin.so: bench/plugin.c bench/counters.h bench/mark.h bench/bench.mk
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -shared -fPIC -o $@ $<

$(B)/bench/runner/%.o: bench/runner/%.c bench/bench.mk
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/runner: $(BENCH_RUNNER)
	$(CC) -o $@ $(BENCH_RUNNER) -lm

-include $(BENCH_RUNNER:.o=.d)

.PHONY: bench bench-programs
bench-programs: $(addprefix $(B)/linux/,$(BENCH_PROGRAMS) small libc boot init) $(addprefix $(B)/exos/,$(BENCH_NATIVE)) \
	$(B)/plugin.so $(B)/runner examples

bench:
	@bench/run
