/* SPDX-License-Identifier: MIT */
/* The supervisor role: the boot environment of ExOS. */
#ifndef EXOS_SUPER_SUPER_H
#define EXOS_SUPER_SUPER_H

#include <aegis/aegis.h>

/* Runs the domains that the manifest names, then ends the machine.  The core is set up, and the
 * private pages below the core's are bound and zero. */
_Noreturn void super_start(const struct aegis_boot_page *boot);

#endif
