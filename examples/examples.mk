# SPDX-License-Identifier: MIT
# Examples: complete small programs that know ExOS, a folder each; build/examples/NAME.

EXAMPLES = $(patsubst examples/%/,%,$(wildcard examples/*/))
EXAMPLE_CFLAGS = -std=gnu11 -O2 -g -Iinclude -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wundef -Wvla

define example
build/examples/$(1): $$(wildcard examples/$(1)/*.[chS] include/exos/*.h) build/libexos.a examples/examples.mk
	@mkdir -p $$(@D)
	$$(CC) $$(EXAMPLE_CFLAGS) -static -o $$@ $$(filter %.c %.S,$$^) build/libexos.a
endef
$(foreach e,$(EXAMPLES),$(eval $(call example,$(e))))

.PHONY: examples
examples: $(addprefix build/examples/,$(EXAMPLES))
