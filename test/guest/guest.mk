# SPDX-License-Identifier: MIT
# The guest tests and their attackers: one boot library, build/test/guest, and beside it its image.  `make guest` runs it.

GT ?= build/test/guest.d

GUEST_CFLAGS = -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mno-red-zone \
	-mgeneral-regs-only -mfsgsbase -fno-stack-protector -fno-strict-aliasing -fno-common \
	-fno-asynchronous-unwind-tables -fcf-protection=none -fno-jump-tables \
	-I. -Iinclude -Itest/guest -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wundef -Wvla
GUEST_SOURCES = $(sort $(wildcard test/guest/*.[cS])) $(sort $(wildcard test/evil/*.[cS]))
GUEST_OBJECTS = $(patsubst %,$(GT)/%.o,$(GUEST_SOURCES))

$(GT)/%.c.o: %.c test/guest/guest.mk
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

$(GT)/%.S.o: %.S test/guest/guest.mk
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

build/test/guest: $(GUEST_OBJECTS) test/guest/guest.ld tools/image
	$(CC) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
		-Wl,-z,noexecstack -T test/guest/guest.ld -o $@ $(GUEST_OBJECTS)
	@tools/image $@ $@.image

-include $(GUEST_OBJECTS:.o=.d)

.PHONY: guest
guest: build/test/guest build/kernel/aegis.elf
	@test/guest/run build/kernel/aegis.elf
