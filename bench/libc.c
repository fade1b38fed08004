/* SPDX-License-Identifier: MIT */
/* The program that the row exec_libc executes: nothing but what a static C library does by itself. */
int
main(void)
{
	return 0;
}
