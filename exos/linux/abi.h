/* SPDX-License-Identifier: MIT */
/*
 * The Linux x86-64 ABI, as far as the library serves it.
 *
 * Owns nothing itself: one header per family of calls owns its layouts and numbers, this one
 * includes them all. Names carry lx_ or LX_ so that a host's own headers can be included beside
 * them.
 *
 * 1. Plain data only: fixed-width members, user addresses as uint64_t, no pointers.
 * 2. Every layout is pinned by a static assertion where it is defined.
 */
#ifndef EXOS_LINUX_ABI_H
#define EXOS_LINUX_ABI_H

#include "exos/linux/abi_file.h"
#include "exos/linux/abi_proc.h"
#include "exos/linux/abi_signal.h"
#include "exos/linux/abi_tty.h"
#include "exos/linux/errno.h"

#endif
