# SPDX-License-Identifier: MIT
# ExOS: one image, position independent, without writable data; also the vDSO that programs see;
# beside it that image as the kernel takes it.

X ?= build/exos.d

EXOS_CFLAGS = -std=gnu11 -O2 -g -ffreestanding -fPIC -fvisibility=hidden -mno-red-zone \
	-mgeneral-regs-only -mfsgsbase -mpopcnt -fno-stack-protector -fno-strict-aliasing -fno-common \
	-fno-asynchronous-unwind-tables -fcf-protection=none -ffunction-sections -fno-jump-tables \
	-I. -Iinclude -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wundef -Wvla

EXOS_SOURCES = $(wildcard exos/start/*.[cS] exos/upcall/*.[cS] exos/core/*.c exos/vm/*.c \
	exos/proc/*.c exos/signal/*.c exos/fd/*.c exos/linux/*.[cS] exos/ipc/*.c exos/tty/*.c \
	exos/fs/*.c exos/service/*.c exos/super/*.c exos/lib/*.c exos/api/*.[cS])
EXOS_OBJECTS = $(patsubst %,$(X)/%.o,$(EXOS_SOURCES))

$(X)/%.c.o: %.c exos/exos.mk
	@mkdir -p $(@D)
	$(CC) $(EXOS_CFLAGS) -MMD -MP -c -o $@ $<

$(X)/%.S.o: %.S exos/exos.mk
	@mkdir -p $(@D)
	$(CC) $(EXOS_CFLAGS) -MMD -MP -c -o $@ $<

build/exos: $(EXOS_OBJECTS) exos/exos.ld exos/exos.map tools/image
	$(CC) -nostdlib -shared -Wl,-Bsymbolic -Wl,--build-id=none -Wl,--hash-style=both \
		-Wl,-soname,linux-vdso.so.1 -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack \
		-Wl,--gc-sections -Wl,--no-undefined -Wl,-e,exos_entry -T exos/exos.ld \
		-Wl,--version-script=exos/exos.map \
		-o $@ $(EXOS_OBJECTS)
	@tools/image $@ $@.image

-include $(EXOS_OBJECTS:.o=.d)

# What programs that know ExOS link (include/exos/api.h).
CLIENT_OBJECTS = $(patsubst %,$(X)/%.o,$(wildcard libexos/*.[cS]))
CLIENT_CFLAGS = -std=gnu11 -O2 -g -fPIC -mgeneral-regs-only -Iinclude -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wundef -Wvla

$(X)/libexos/%.o: libexos/% include/exos/calls.def exos/exos.mk
	@mkdir -p $(@D)
	$(CC) $(CLIENT_CFLAGS) -MMD -MP -c -o $@ $<

build/libexos.a: $(CLIENT_OBJECTS)
	@rm -f $@
	ar rcs $@ $(CLIENT_OBJECTS)

.PHONY: exos-objects
exos-objects: $(EXOS_OBJECTS)
