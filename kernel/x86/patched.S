/* SPDX-License-Identifier: MIT */
/*
 * For entry.S and switch.S: an instruction that not every processor has, and where it lies.  CLAC does not exist
 * before SMAP, RDPKRU and WRPKRU not before protection keys; trap_init overwrites these there: with
 * no-operations, and RDPKRU so that it answers 0.
 */
	.macro	PATCHED insn, sites
771:	\insn
	.pushsection \sites, "a"
	.quad	771b
	.popsection
	.endm
