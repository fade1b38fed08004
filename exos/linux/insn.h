/* SPDX-License-Identifier: MIT */
/*
 * The length and the control-flow nature of one x86-64 instruction.
 *
 * Pure functions over bytes: no state, no allocation, usable in any context. The bytes are
 * untrusted; nothing outside [bytes, bytes + avail) is ever read.
 *
 * Invariants:
 *  1. A decoded length is 1..INSN_MAX and never more than `avail`.
 *  2. An instruction that some processor executes in long mode is decoded, with one exception: a
 *     16-bit relative branch (operand-size prefix without REX.W), whose length differs between
 *     vendors, is reported as undecodable. No compiler emits it.
 *  3. The reverse is not promised: an undefined encoding may decode. Callers that follow chains of
 *     instructions rely on 2 only.
 */
#ifndef EXOS_LINUX_INSN_H
#define EXOS_LINUX_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSN_MAX 15

enum insn_kind {
	INSN_PLAIN,         /* goes on to the next instruction, whatever its address */
	INSN_JCC,           /* conditional, relative */
	INSN_LOOP,          /* loop, loope, loopne, jrcxz: relative, 8 bits only */
	INSN_JMP,           /* unconditional, relative */
	INSN_JMP_INDIRECT,  /* through a register or memory, far jumps included */
	INSN_CALL,          /* relative */
	INSN_CALL_INDIRECT, /* through a register or memory */
	INSN_RET,           /* near, far and iret */
	INSN_SYSCALL,       /* 0f 05 */
	INSN_TRAP,          /* int, int3, int1, ud0..2, hlt, sysenter, sysexit, sysret, xabort */
	INSN_XBEGIN,        /* relative abort address */
};

struct insn {
	uint8_t len;    /* of the whole instruction */
	uint8_t kind;   /* enum insn_kind */
	uint8_t prefix; /* bytes before the opcode (legacy, REX, or a VEX, EVEX or XOP prefix) */
	uint8_t rex;    /* the REX prefix in effect, or 0 */
	uint8_t map;    /* 0: one byte, 1: 0f, 2: 0f 38, 3: 0f 3a, larger: VEX, EVEX and XOP maps */
	uint8_t opcode; /* last opcode byte */
	uint8_t modrm;  /* valid if has_modrm */
	uint8_t disp_at; /* offset of the displacement; valid if disp_len is not 0 */
	uint8_t disp_len;
	uint8_t imm_at; /* offset of the immediate; valid if imm_len is not 0 */
	uint8_t imm_len;
	bool has_modrm;
	bool rip_relative; /* memory operand at rip + disp32 */
	bool address32;    /* address-size prefix present */
	int32_t rel;       /* relative branches: target = address + len + rel */
};

/* Decode the instruction at `bytes`. Returns its length, or 0 if it is undefined or cut short by
 * `avail`; then *out is meaningless. */
size_t insn_decode(const uint8_t *bytes, size_t avail, struct insn *out);

/* True for a relative branch: `rel` is valid. */
bool insn_is_relative(const struct insn *in);

/* True for the filler that assemblers put between functions: any encoding of nop, and int3. */
bool insn_is_padding(const struct insn *in);

/* True if `byte` is a legacy prefix or, in long mode, a REX prefix. */
bool insn_is_prefix(uint8_t byte);

#endif
