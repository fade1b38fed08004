# SPDX-License-Identifier: MIT
# Library operating systems beside ExOS, started by `./exo run --libos NAME`: ELF files, and
# beside each its image as the kernel takes it.

LIBOSES += build/libos/mini

MINI_CFLAGS = -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mno-red-zone \
	-mgeneral-regs-only -mfsgsbase -fno-stack-protector -fno-strict-aliasing -fno-common \
	-fno-asynchronous-unwind-tables -fcf-protection=none -fno-jump-tables -Iinclude \
	-Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
MINI_SOURCES = $(wildcard libos/mini/*.[cS])
MINI_OBJECTS = $(patsubst %,build/libos/mini.d/%.o,$(MINI_SOURCES))

build/libos/mini.d/%.o: % libos/libos.mk
	@mkdir -p $(@D)
	$(CC) $(MINI_CFLAGS) -MMD -MP -c -o $@ $<

build/libos/mini: $(MINI_OBJECTS) libos/mini/mini.ld tools/image
	$(CC) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
		-Wl,-z,noexecstack -T libos/mini/mini.ld -o $@ $(MINI_OBJECTS)
	@tools/image $@ $@.image

-include $(MINI_OBJECTS:.o=.d)

# A program of ExOS that mini calls.
build/libos/product: libos/product.c build/libexos.a
	@mkdir -p $(@D)
	$(CC) -O2 -static -Wall -Wextra -Werror -Iinclude -o $@ libos/product.c build/libexos.a
