/* SPDX-License-Identifier: MIT */
/*
 * Instruction lengths, from two tables of operand shapes.
 *
 * A table entry says what follows the opcode byte: ModRM, and how many bytes of immediate. The
 * irregular cases (groups whose immediate depends on ModRM, SSE4a, far control transfers) are
 * handled where the tables cannot express them. Owns nothing; see insn.h for the contract.
 *
 * Reading goes through struct cursor, the only place that touches the bytes: once `pos` would pass
 * `end` the cursor is marked bad and yields zeros, so a cut-off instruction is found at one check.
 */
#include "insn.h"

enum {
	SHAPE_M = 0x01,      /* ModRM */
	SHAPE_IMM8 = 0x02,   /* one byte */
	SHAPE_IMM16 = 0x04,  /* two bytes */
	SHAPE_IMMZ = 0x08,   /* four bytes, or two with an operand-size prefix */
	SHAPE_IMMV = 0x10,   /* as IMMZ, or eight with REX.W */
	SHAPE_MOFFS = 0x20,  /* eight bytes, or four with an address-size prefix */
	SHAPE_REG = 0x40,    /* ModRM that names registers whatever its mod field says */
	SHAPE_UNDEF = 0x80,  /* no such instruction in long mode */
	SHAPE_PREFIX = 0xff, /* handled before the table is asked */
};

#define O 0
#define M SHAPE_M
#define B SHAPE_IMM8
#define W SHAPE_IMM16
#define Z SHAPE_IMMZ
#define V SHAPE_IMMV
#define A SHAPE_MOFFS
#define R SHAPE_REG
#define X SHAPE_UNDEF
#define P SHAPE_PREFIX
#define m (SHAPE_M | SHAPE_IMM8)
#define z (SHAPE_M | SHAPE_IMMZ)
#define E (SHAPE_IMM16 | SHAPE_IMM8)

static const uint8_t shape_one[256] = {
	/*0*/ M, M, M, M, B, Z, X, X, M, M, M, M, B, Z, X, P,
	/*1*/ M, M, M, M, B, Z, X, X, M, M, M, M, B, Z, X, X,
	/*2*/ M, M, M, M, B, Z, P, X, M, M, M, M, B, Z, P, X,
	/*3*/ M, M, M, M, B, Z, P, X, M, M, M, M, B, Z, P, X,
	/*4*/ P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P,
	/*5*/ O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
	/*6*/ X, X, P, M, P, P, P, P, Z, z, B, m, O, O, O, O,
	/*7*/ B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B,
	/*8*/ m, z, X, m, M, M, M, M, M, M, M, M, M, M, M, M,
	/*9*/ O, O, O, O, O, O, O, O, O, O, X, O, O, O, O, O,
	/*a*/ A, A, A, A, O, O, O, O, B, Z, O, O, O, O, O, O,
	/*b*/ B, B, B, B, B, B, B, B, V, V, V, V, V, V, V, V,
	/*c*/ m, m, W, O, P, P, m, z, E, O, W, O, O, B, X, O,
	/*d*/ M, M, M, M, X, X, X, O, M, M, M, M, M, M, M, M,
	/*e*/ B, B, B, B, B, B, B, B, Z, Z, X, B, O, O, O, O,
	/*f*/ P, O, P, P, O, O, M, M, O, O, O, O, O, O, M, M,
};

static const uint8_t shape_two[256] = {
	/*0*/ M, M, M, M, X, O, O, O, O, O, X, O, X, M, O, m,
	/*1*/ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/*2*/ R, R, R, R, X, X, X, X, M, M, M, M, M, M, M, M,
	/*3*/ O, O, O, O, O, O, X, O, P, X, P, X, X, X, X, X,
	/*4*/ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/*5*/ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/*6*/ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/*7*/ m, m, m, m, M, M, M, O, M, M, X, X, M, M, M, M,
	/*8*/ Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z,
	/*9*/ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/*a*/ O, O, O, M, m, M, M, M, O, O, O, M, m, M, M, M,
	/*b*/ M, M, M, M, M, M, M, M, M, M, m, M, M, M, M, M,
	/*c*/ M, M, m, M, m, m, m, M, O, O, O, O, O, O, O, O,
	/*d*/ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/*e*/ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/*f*/ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
};

#undef O
#undef M
#undef B
#undef W
#undef Z
#undef V
#undef A
#undef R
#undef X
#undef P
#undef m
#undef z
#undef E

#define PREFIX_OPSIZE 0x01
#define PREFIX_REP    0x02 /* f2 or f3 */
#define PREFIX_REPNE  0x04 /* f2 */
#define PREFIX_LOCK   0x08
#define PREFIX_REX    0x10
#define PREFIX_REX_W  0x20

struct cursor {
	const uint8_t *bytes;
	size_t end;
	size_t pos;
	bool bad;
};

static uint8_t
cursor_peek(const struct cursor *c)
{
	return c->pos < c->end ? c->bytes[c->pos] : 0;
}

static uint8_t
cursor_take(struct cursor *c)
{
	if (c->pos >= c->end) {
		c->bad = true;
		return 0;
	}
	return c->bytes[c->pos++];
}

static void
cursor_skip(struct cursor *c, size_t count)
{
	if (count > c->end - c->pos) {
		c->bad = true;
		return;
	}
	c->pos += count;
}

/* Consume legacy and REX prefixes. A REX prefix counts only directly before the opcode. */
static unsigned
take_prefixes(struct cursor *c, struct insn *out)
{
	unsigned seen = 0;

	for (; c->pos < c->end; c->pos++) {
		uint8_t byte = cursor_peek(c);

		if ((byte & 0xf0) == 0x40) {
			seen |= PREFIX_REX;
			seen = (byte & 8) ? seen | PREFIX_REX_W : seen & ~(unsigned)PREFIX_REX_W;
			out->rex = byte;
			continue;
		}
		if (!insn_is_prefix(byte))
			break;
		seen &= ~(unsigned)(PREFIX_REX | PREFIX_REX_W);
		out->rex = 0;
		if (byte == 0x66)
			seen |= PREFIX_OPSIZE;
		else if (byte == 0x67)
			out->address32 = true;
		else if (byte == 0xf0)
			seen |= PREFIX_LOCK;
		else if (byte == 0xf2)
			seen |= PREFIX_REP | PREFIX_REPNE;
		else if (byte == 0xf3)
			seen |= PREFIX_REP;
	}
	return seen;
}

static void
take_modrm(struct cursor *c, struct insn *out, bool registers_only)
{
	uint8_t modrm = cursor_take(c);
	uint8_t mod = modrm >> 6;
	uint8_t rm = modrm & 7;

	out->has_modrm = true;
	out->modrm = modrm;
	if (mod == 3 || registers_only)
		return;
	if (rm == 4) {
		uint8_t sib = cursor_take(c);

		if (mod == 0 && (sib & 7) == 5)
			out->disp_len = 4;
	} else if (mod == 0 && rm == 5) {
		out->disp_len = 4;
		out->rip_relative = true;
	}
	if (mod == 1)
		out->disp_len = 1;
	else if (mod == 2)
		out->disp_len = 4;
	out->disp_at = (uint8_t)c->pos;
	cursor_skip(c, out->disp_len);
}

/* The shape of an opcode in a VEX, EVEX or XOP map: ModRM always, except vzeroupper/vzeroall. */
static uint8_t
shape_vector(uint8_t map, uint8_t opcode)
{
	switch (map) {
	case 1:
		if (opcode == 0x77)
			return 0;
		if ((opcode & 0xfc) == 0x70 || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6))
			return SHAPE_M | SHAPE_IMM8;
		return SHAPE_M;
	case 3:
	case 8:
		return SHAPE_M | SHAPE_IMM8;
	case 2:
	case 5:
	case 6:
	case 9:
		return SHAPE_M;
	default:
		return SHAPE_UNDEF;
	}
}

/* VEX (c4, c5), EVEX (62) or XOP (8f): the cursor stands behind the escape byte `lead`. */
static uint8_t
take_vector(struct cursor *c, struct insn *out, uint8_t lead, unsigned seen)
{
	uint8_t map = 1;
	uint8_t shape;

	if (seen & (PREFIX_OPSIZE | PREFIX_REP | PREFIX_LOCK | PREFIX_REX))
		return SHAPE_UNDEF;
	if (lead == 0xc5) {
		cursor_skip(c, 1);
	} else if (lead == 0x62) {
		uint8_t first = cursor_take(c);
		uint8_t second = cursor_take(c);

		map = first & 7;
		if ((first & 8) || !(second & 4))
			return SHAPE_UNDEF;
		cursor_skip(c, 1);
	} else {
		map = cursor_take(c) & 0x1f;
		cursor_skip(c, 1);
		if (lead == 0xc4 && (map < 1 || map > 3))
			return SHAPE_UNDEF;
		if (lead == 0x8f && (map < 8 || map > 10))
			return SHAPE_UNDEF;
	}
	out->prefix = (uint8_t)c->pos;
	out->map = map;
	out->opcode = cursor_take(c);
	/* XOP map 10 is the only one with a 32-bit immediate, independent of prefixes. */
	if (map == 10)
		return SHAPE_M | SHAPE_IMMZ;
	shape = shape_vector(map, out->opcode);
	if (lead == 0x62 && shape == 0)
		return SHAPE_UNDEF;
	return shape;
}

static uint8_t
take_opcode(struct cursor *c, struct insn *out, unsigned seen)
{
	uint8_t byte;

	out->prefix = (uint8_t)c->pos;
	byte = cursor_take(c);
	if (byte == 0xc4 || byte == 0xc5 || byte == 0x62 ||
	    (byte == 0x8f && (cursor_peek(c) & 0x1f) >= 8))
		return take_vector(c, out, byte, seen);
	if (byte != 0x0f) {
		out->opcode = byte;
		return shape_one[byte];
	}
	byte = cursor_take(c);
	out->map = 1;
	if (byte == 0x38 || byte == 0x3a) {
		out->map = byte == 0x38 ? 2 : 3;
		out->opcode = cursor_take(c);
		return byte == 0x38 ? SHAPE_M : SHAPE_M | SHAPE_IMM8;
	}
	out->opcode = byte;
	/* jmpe of another architecture, unless popcnt. */
	if (byte == 0xb8 && !(seen & PREFIX_REP))
		return SHAPE_UNDEF;
	return shape_two[byte];
}

/* Encodings that ModRM makes undefined, or that it gives another immediate. */
static uint8_t
shape_refine(const struct insn *in, uint8_t shape, unsigned seen)
{
	uint8_t reg = (in->modrm >> 3) & 7;
	bool memory = in->modrm < 0xc0;

	if (in->map == 1 && in->opcode == 0x78 && (seen & (PREFIX_OPSIZE | PREFIX_REPNE)))
		return SHAPE_M | SHAPE_IMM16; /* SSE4a extrq and insertq: two single bytes */
	if (in->map != 0)
		return shape;
	switch (in->opcode) {
	case 0xf6:
		return reg < 2 ? shape | SHAPE_IMM8 : shape;
	case 0xf7:
		return reg < 2 ? shape | SHAPE_IMMZ : shape;
	case 0xc6:
	case 0xc7:
		return reg == 0 || in->modrm == 0xf8 ? shape : SHAPE_UNDEF;
	case 0x8f:
		return reg == 0 ? shape : SHAPE_UNDEF;
	case 0x8d:
		return memory ? shape : SHAPE_UNDEF;
	case 0xfe:
		return reg < 2 ? shape : SHAPE_UNDEF;
	case 0xff:
		if (reg == 7 || ((reg == 3 || reg == 5) && !memory))
			return SHAPE_UNDEF;
		return shape;
	default:
		return shape;
	}
}

static size_t
immediate_size(const struct insn *in, uint8_t shape, unsigned seen)
{
	size_t size = 0;
	bool word = (seen & PREFIX_OPSIZE) && !(seen & PREFIX_REX_W);

	if (shape & SHAPE_IMM8)
		size += 1;
	if (shape & SHAPE_IMM16)
		size += 2;
	if (shape & SHAPE_IMMZ)
		size += word ? 2 : 4;
	if (shape & SHAPE_IMMV)
		size += (seen & PREFIX_REX_W) ? 8 : word ? 2 : 4;
	if (shape & SHAPE_MOFFS)
		size += in->address32 ? 4 : 8;
	return size;
}

static uint8_t
kind_one(const struct insn *in)
{
	uint8_t op = in->opcode;
	uint8_t reg = (in->modrm >> 3) & 7;

	if ((op & 0xf0) == 0x70)
		return INSN_JCC;
	if ((op & 0xfc) == 0xe0)
		return INSN_LOOP;
	switch (op) {
	case 0xe8:
		return INSN_CALL;
	case 0xe9:
	case 0xeb:
		return INSN_JMP;
	case 0xc2:
	case 0xc3:
	case 0xca:
	case 0xcb:
	case 0xcf:
		return INSN_RET;
	case 0xcc:
	case 0xcd:
	case 0xf1:
	case 0xf4:
		return INSN_TRAP;
	case 0xc6:
		return in->modrm == 0xf8 ? INSN_TRAP : INSN_PLAIN;
	case 0xc7:
		return in->modrm == 0xf8 ? INSN_XBEGIN : INSN_PLAIN;
	case 0xff:
		if (reg == 2 || reg == 3)
			return INSN_CALL_INDIRECT;
		return reg == 4 || reg == 5 ? INSN_JMP_INDIRECT : INSN_PLAIN;
	default:
		return INSN_PLAIN;
	}
}

static uint8_t
kind_two(uint8_t op)
{
	if ((op & 0xf0) == 0x80)
		return INSN_JCC;
	switch (op) {
	case 0x05:
		return INSN_SYSCALL;
	case 0x07: /* sysret */
	case 0x0b: /* ud2 */
	case 0x34: /* sysenter */
	case 0x35: /* sysexit */
	case 0xb9: /* ud1 */
	case 0xff: /* ud0 */
		return INSN_TRAP;
	default:
		return INSN_PLAIN;
	}
}

static uint8_t
kind_of(const struct insn *in, const uint8_t *bytes)
{
	/* VEX, EVEX and XOP instructions never transfer control; their prefix holds the map. */
	if (in->map > 1)
		return INSN_PLAIN;
	if (in->map == 0)
		return kind_one(in);
	return in->prefix + 2 <= in->len && bytes[in->prefix] == 0x0f ? kind_two(in->opcode)
								      : INSN_PLAIN;
}

bool
insn_is_relative(const struct insn *in)
{
	return in->kind == INSN_JCC || in->kind == INSN_LOOP || in->kind == INSN_JMP ||
	       in->kind == INSN_CALL || in->kind == INSN_XBEGIN;
}

bool
insn_is_prefix(uint8_t byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return (byte & 0xf0) == 0x40;
	}
}

bool
insn_is_padding(const struct insn *in)
{
	/* With REX.B, 90 exchanges two registers. */
	if (in->map == 0)
		return in->opcode == 0xcc || (in->opcode == 0x90 && !(in->rex & 1));
	return in->map == 1 && in->opcode == 0x1f && (in->modrm & 0x38) == 0;
}

static int32_t
relative_read(const uint8_t *at, uint8_t size)
{
	if (size == 1)
		return (int8_t)at[0];
	return (int32_t)((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
			 (uint32_t)at[3] << 24);
}

size_t
insn_decode(const uint8_t *bytes, size_t avail, struct insn *out)
{
	struct cursor c = {bytes, avail < INSN_MAX ? avail : INSN_MAX, 0, false};
	unsigned seen;
	uint8_t shape;

	*out = (struct insn){0};
	seen = take_prefixes(&c, out);
	shape = take_opcode(&c, out, seen);
	if (c.bad || (shape & SHAPE_UNDEF))
		return 0;
	if (shape & (SHAPE_M | SHAPE_REG)) {
		take_modrm(&c, out, (shape & SHAPE_REG) != 0);
		if (c.bad)
			return 0;
		shape = shape_refine(out, shape, seen);
		if (shape & SHAPE_UNDEF)
			return 0;
	}
	out->imm_at = (uint8_t)c.pos;
	out->imm_len = (uint8_t)immediate_size(out, shape, seen);
	cursor_skip(&c, out->imm_len);
	if (c.bad)
		return 0;
	out->len = (uint8_t)c.pos;
	out->kind = kind_of(out, bytes);
	if (insn_is_relative(out)) {
		if (out->imm_len == 2)
			return 0;
		out->rel = relative_read(bytes + out->imm_at, out->imm_len);
	}
	return out->len;
}
