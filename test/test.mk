# SPDX-License-Identifier: MIT
# Host tests: each is one program, the sources it tests linked in, under ASan and UBSan.

T ?= build/test/host
TEST_CFLAGS = -std=gnu11 -g -O1 -I. -Iinclude -Wall -Wextra -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined -mfsgsbase -Wno-unused-parameter

include test/host/kernel.mk
include test/guest/guest.mk

TEST_insn_test = exos/linux/insn.c exos/linux/rewrite.c exos/linux/rewrite_scan.c
TEST_rewrite_test = $(TEST_insn_test)
TEST_rewrite_run_test = $(TEST_insn_test)
TEST_fs_test = $(wildcard exos/fs/*.c)
TEST_fs_page_test = $(TEST_fs_test)
TEST_fs_synth_test = $(TEST_fs_test)
TEST_fs_cpio_test = $(TEST_fs_test)
TEST_fs_model_test = $(TEST_fs_test)
TEST_lib_test =
TEST_tty_test = $(wildcard exos/tty/*.c)
TEST_abi_test = exos/linux/calls.c
TEST_elf_test = exos/linux/elf.c exos/linux/elf_stack.c
TEST_procfs_test = exos/proc/procfs_text.c exos/proc/procfs_system.c
TEST_exo_channel_test =
TEST_pagetable_test = libexos/linear.c libexos/inverted.c

TEST_super_test = exos/super/pump.c exos/super/receive.c exos/super/tell.c
TEST_service_test = $(filter-out exos/service/kernel.c,$(wildcard exos/service/*.c)) \
	$(wildcard exos/fs/*.c exos/tty/*.c exos/proc/procfs_*.c exos/linux/rewrite*.c) \
	exos/linux/insn.c exos/lib/format.c test/host/fake_core.c
TEST_service_fuzz_test = $(TEST_service_test)
TEST_service_patch_test = $(TEST_service_test)
TEST_service_parked_test = $(TEST_service_test)
TEST_service_proc_test = $(TEST_service_test)
TEST_fd_test = test/host/fd_fake.c test/host/fd_service.c \
	$(filter-out exos/fd/machine.c,$(wildcard exos/fd/*.c)) exos/linux/file.c exos/linux/desc.c exos/linux/lock.c \
	exos/linux/path.c exos/linux/stat.c exos/linux/poll.c $(wildcard exos/tty/*.c)
TEST_fd_ipc_test = $(TEST_fd_test)

KERNEL_HOST_TESTS = $(foreach t,$(HK_TESTS),$(HK_OUT)/$(t)_test.gcc)

LIBRARY_TESTS = insn_test rewrite_test rewrite_run_test fs_test fs_page_test fs_synth_test \
	fs_cpio_test fs_model_test lib_test tty_test abi_test elf_test procfs_test exo_channel_test pagetable_test super_test \
	service_test service_fuzz_test service_patch_test service_parked_test service_proc_test fd_test fd_ipc_test

define library_test
$(T)/$(1): test/host/$(1).c $(TEST_$(1)) $(wildcard exos/*/*.h test/host/*.h)
	@mkdir -p $$(@D)
	$$(CC) $$(TEST_CFLAGS) -o $$@ test/host/$(1).c $(TEST_$(1)) -lm
endef
$(foreach t,$(LIBRARY_TESTS),$(eval $(call library_test,$(t))))

.PHONY: host-tests
host-tests: build/test/guest $(addprefix $(T)/,$(LIBRARY_TESTS)) $(KERNEL_HOST_TESTS)

.PHONY: list-host-tests
list-host-tests:
	@printf '%s\n' $(addprefix $(T)/,$(LIBRARY_TESTS)) $(KERNEL_HOST_TESTS)
