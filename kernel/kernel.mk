# SPDX-License-Identifier: MIT
# The kernel: objects in reading order.
#
#   K         object directory, one for each variant      build/kernel
#   CC        gcc or clang
#   UBSAN=1 KASAN=1 GCOV=1 CHECKED=1                       variants; give each its own K
#
# $(K)/aegis.elf is what `qemu -kernel` and every other PVH loader takes.

K ?= build/kernel

KERNEL_UPPER ?= main.c syscall.c cap.c cap_revoke.c account.c mem.c hold.c sweep.c space.c tlb.c protect.c range.c flush.c \
	env.c fault.c cpu.c slice.c pct.c irq.c chan.c revoke.c trace.c lock.c
KERNEL_LOWER = x86/boot.S x86/boot.c x86/entry.S x86/switch.S x86/trap.c x86/percpu.c x86/mmu.c x86/acpi.c \
	x86/apic.c x86/time.c x86/smp.c x86/serial.c x86/power.c \
	dev/pci.c dev/virtio.c dev/virtio_console.c lib/string.c lib/print.c
KERNEL_OPTIMISE = -O2

# Variants.  A kernel that looks at itself has deeper stacks.
ifdef UBSAN
KERNEL_LOWER += x86/ubsan.c
KERNEL_VARIANT += -DKERNEL_INSTRUMENTED -fsanitize=undefined
endif
ifdef KASAN
KERNEL_LOWER += x86/kasan.c
KERNEL_VARIANT += -DKERNEL_INSTRUMENTED -DKERNEL_KASAN
KASAN_SHADOW = 0xdffffc0000000000
KASAN_CFLAGS = -fsanitize=kernel-address $(if $(findstring clang,$(CC)), \
	-mllvm -asan-mapping-offset=$(KASAN_SHADOW) -mllvm -asan-stack=1 -mllvm -asan-globals=1 \
	-mllvm -asan-instrumentation-with-call-threshold=10000, \
	-fasan-shadow-offset=$(KASAN_SHADOW) --param asan-stack=1 --param asan-globals=1 \
	--param asan-instrumentation-with-call-threshold=10000 -fsanitize-address-use-after-scope)
endif
ifdef GCOV
KERNEL_LOWER += x86/gcov.c
KERNEL_VARIANT += -DKERNEL_INSTRUMENTED
KERNEL_OPTIMISE = -O0
GCOV_CFLAGS = -fprofile-arcs -ftest-coverage -fprofile-info-section -fprofile-update=single
KERNEL_LIBS = -lgcov
endif
ifdef CHECKED
KERNEL_LOWER += check/account.c check/cap.c check/check.c check/mem.c check/space.c
KERNEL_VARIANT += -DKERNEL_CHECKED
endif
ifneq ($(UBSAN)$(KASAN)$(GCOV)$(CHECKED),)
KERNEL_LOWER += check/chaos.c check/drop.c x86/step.c
KERNEL_VARIANT += -DKERNEL_CHAOS
endif

KERNEL_CFLAGS = -std=gnu11 $(KERNEL_OPTIMISE) -g -ffreestanding -fno-pic -mcmodel=kernel -mno-red-zone \
	-mgeneral-regs-only -fno-strict-aliasing -fno-common -fno-omit-frame-pointer \
	-momit-leaf-frame-pointer -fno-asynchronous-unwind-tables -fno-delete-null-pointer-checks \
	-fstack-protector-strong -mstack-protector-guard=global -fcf-protection=none \
	-ffunction-sections -DKERNEL_X86 -Iinclude -Ikernel \
	-Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla \
	$(KERNEL_VARIANT) $(KASAN_CFLAGS) $(GCOV_CFLAGS)
KERNEL_LDFLAGS = -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
	-Wl,-z,noexecstack -Wl,--gc-sections -Wl,-u,boot_pvh -T kernel/x86/kernel.ld

KERNEL_SOURCES = $(wildcard $(addprefix kernel/,$(KERNEL_UPPER)) $(addprefix kernel/,$(KERNEL_LOWER))) \
	$(KERNEL_EXTRA)
KERNEL_OBJECTS := $(patsubst %,$(K)/%.o,$(KERNEL_SOURCES))

$(K)/%.c.o: %.c kernel/kernel.mk
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -MMD -MP -c -o $@ $<

$(K)/%.S.o: %.S kernel/kernel.mk $(K)/offsets.h
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -I$(K) -MMD -MP -c -o $@ $<

$(K)/offsets.h: kernel/x86/offsets.c $(wildcard kernel/x86/*.S) $(wildcard kernel/*.h kernel/x86/*.h include/aegis/*) \
	tools/offsets kernel/kernel.mk
	@mkdir -p $(@D)
	@tools/offsets $< kernel/x86/entry.S kernel/x86/switch.S kernel/x86/asm.h >$(K)/members.h
	$(CC) $(KERNEL_CFLAGS) -I$(K) -g0 -S -o $(K)/offsets.s $<
	@sed -n 's/.*\.ascii[[:space:]]*"->\([^"]*\)".*/#define \1/p' $(K)/offsets.s >$@

# The runtimes are not their own subject.
$(K)/kernel/x86/kasan.c.o: KASAN_CFLAGS =
$(K)/kernel/x86/gcov.c.o: GCOV_CFLAGS =
$(K)/kernel/x86/ubsan.c.o: KERNEL_VARIANT += -fno-sanitize=undefined

$(K)/aegis.elf: $(KERNEL_OBJECTS) kernel/x86/kernel.ld
	$(CC) $(KERNEL_LDFLAGS) -o $@ $(KERNEL_OBJECTS) $(KERNEL_LIBS)

-include $(KERNEL_OBJECTS:.o=.d)
