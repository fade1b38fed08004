# SPDX-License-Identifier: MIT
# What the analyzers say about each file, as build/check/TOOL/FILE.log, with the flags of the real build. For
# tools/check; a log is made again when its file, a header or a makefile has changed.

include Makefile

C = build/check
.DEFAULT_GOAL := logs

# Runtimes of instrumented kernels are read as those kernels compile them.
CHECK_KERNEL = $(sort $(KERNEL_SOURCES) $(wildcard kernel/check/*.c kernel/x86/kasan.c kernel/x86/step.c \
	kernel/x86/ubsan.c kernel/x86/gcov.c))
CHECK_EXOS = $(EXOS_SOURCES)
CHECK_HOST = $(wildcard host/*.c)
CHECK_C = $(filter %.c,$(CHECK_KERNEL) $(CHECK_EXOS) $(CHECK_HOST))
HEADERS_kernel = $(wildcard kernel/*.h kernel/*/*.h include/aegis/*) kernel/kernel.mk
HEADERS_exos = $(wildcard include/*/* exos/*.h exos/*/*.h exos/*/*.def) exos/exos.mk
HEADERS_host = $(wildcard include/host/* host/*.h) Makefile
headers = $(HEADERS_$(firstword $(subst /, ,$(1)))) tools/check.mk

.SECONDEXPANSION:

flags = $(if $(filter %/offsets.c,$(1)),-I$(K)) $(if $(filter kernel/x86/kasan.c,$(1)),-DKERNEL_INSTRUMENTED -DKERNEL_KASAN) $(if $(filter \
	%/chaos.c %/drop.c %/step.c,$(1)),-DKERNEL_CHAOS) $(patsubst \
	-Werror,,$(if $(filter kernel/%,$(1)),$(KERNEL_CFLAGS),$(if $(filter exos/%,$(1)),$(EXOS_CFLAGS),$(HOST_CFLAGS))))
# What sparse and cppcheck understand of them.
plain = $(filter -D% -I% -std=%,$(call flags,$(1)))

TOOLS = gcc-O0 gcc-O2 clang analyze sparse
run_gcc-O0 = gcc $(call flags,$(1)) -O0 -fanalyzer -c -o /dev/null $(1)
run_gcc-O2 = gcc $(call flags,$(1)) -O2 -fanalyzer -c -o /dev/null $(1)
run_clang = clang $(call flags,$(1)) -c -o /dev/null $(1)
run_analyze = clang --analyze $(filter-out -g,$(call flags,$(1))) -Xclang -analyzer-output=text -o /dev/null $(1)
run_sparse = sparse -m64 -Wno-decl '-D__builtin_ia32_rdtsc()=0ul' $(call plain,$(1)) $(1)

define check_tool
$$(C)/$(1)/%.log: % $$$$(call headers,$$$$*) $$$$(if $$$$(filter %/offsets.c,$$$$*),$(K)/offsets.h)
	@mkdir -p $$(@D)
	@LC_ALL=C $$(call run_$(1),$$<) >$$@ 2>&1 || echo "$$<:0: error: exit status $$$$?" >>$$@
endef
$(foreach tool,$(TOOLS),$(eval $(call check_tool,$(tool))))

# The whole of a side at once.
CPPCHECK = cppcheck -q --std=c11 --platform=unix64 --enable=warning,performance,portability --force \
	--template='{file}:{line}:{column}: {severity}: {message} [{id}]' \
	-D__x86_64__ -D__GNUC__=12 '-D_Noreturn=__attribute__((noreturn))'
define cppcheck_side
$$(C)/cppcheck/$(1).log: $$(filter %.c,$$(CHECK_$(2))) $$(call headers,$(1))
	@mkdir -p $$(@D)
	@LC_ALL=C $$(CPPCHECK) $$(filter -D% -I%,$$(call flags,$(1)/x.c)) $$(filter %.c,$$(CHECK_$(2))) >$$@ 2>&1 || \
		echo "$(1):0: error: exit status $$$$?" >>$$@
endef
$(eval $(call cppcheck_side,kernel,KERNEL))
$(eval $(call cppcheck_side,exos,EXOS))
$(eval $(call cppcheck_side,host,HOST))

# The call graph of the kernel that people run.
$(C)/stack/%.ci: % $$(call headers,$$*)
	@mkdir -p $(@D)
	@gcc $(call flags,$<) -fcallgraph-info=su -c -o $(C)/stack/$*.o $<
	@mv $(C)/stack/$(basename $*).ci $@ 2>/dev/null || true

STACK_GRAPHS = $(patsubst %,$(C)/stack/%.ci,$(filter %.c,$(KERNEL_SOURCES)))

.PHONY: logs stack-graphs
logs: $(foreach tool,$(TOOLS),$(patsubst %,$(C)/$(tool)/%.log,$(CHECK_C))) $(patsubst %,$(C)/cppcheck/%.log,kernel exos host)
stack-graphs: $(STACK_GRAPHS)
	@printf '%s\n' $(STACK_GRAPHS)
