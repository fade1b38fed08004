/* SPDX-License-Identifier: MIT */
/* The small static program that the row exec executes. */
int
main(void)
{
	return 0;
}
