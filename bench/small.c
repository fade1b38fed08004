/* SPDX-License-Identifier: MIT */
/* The small static program that the row exec executes: one page of text, no library. */
_Noreturn void _start(void);

_Noreturn void
_start(void)
{
	for (;;)
		__asm__ volatile("syscall" ::"a"(231), "D"(0)
				 : "rcx", "r11", "memory"); /* exit_group */
}
