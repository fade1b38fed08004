/* SPDX-License-Identifier: MIT */
/*
 * /dev/null, zero, full, random and urandom: served by the process alone; and random numbers.
 *
 * Owns struct random_state: a ChaCha20 key (RFC 8439 block function) that each request replaces by
 * output nobody sees, so that a state that leaks tells nothing about the past.
 *
 * 1. State made in another space is not used: a child of fork stirs its own clock and number in
 * first.
 */
#include "exos/fd/priv.h"

#define KEY_WORDS   8u
#define BLOCK_WORDS 16u
#define RESEED_NS   1000000000ull

struct random_state {
	uint32_t key[KEY_WORDS];
	uint64_t counter;
	uint64_t seeded_ns;
	uint32_t space;
	uint32_t reserved;
};

static inline uint32_t
rotate(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static inline void
quarter(uint32_t *x, unsigned a, unsigned b, unsigned c, unsigned d)
{
	x[a] += x[b];
	x[d] = rotate(x[d] ^ x[a], 16);
	x[c] += x[d];
	x[b] = rotate(x[b] ^ x[c], 12);
	x[a] += x[b];
	x[d] = rotate(x[d] ^ x[a], 8);
	x[c] += x[d];
	x[b] = rotate(x[b] ^ x[c], 7);
}

static void
block_make(const uint32_t key[KEY_WORDS], uint64_t counter, uint64_t nonce,
	   uint32_t out[BLOCK_WORDS])
{
	uint32_t in[BLOCK_WORDS] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

	memcpy(in + 4, key, KEY_WORDS * sizeof(*key));
	in[12] = (uint32_t)counter;
	in[13] = (uint32_t)(counter >> 32);
	in[14] = (uint32_t)nonce;
	in[15] = (uint32_t)(nonce >> 32);
	memcpy(out, in, sizeof(in));
	for (int i = 0; i < 10; i++) {
		quarter(out, 0, 4, 8, 12);
		quarter(out, 1, 5, 9, 13);
		quarter(out, 2, 6, 10, 14);
		quarter(out, 3, 7, 11, 15);
		quarter(out, 0, 5, 10, 15);
		quarter(out, 1, 6, 11, 12);
		quarter(out, 2, 7, 8, 13);
		quarter(out, 3, 4, 9, 14);
	}
	for (unsigned i = 0; i < BLOCK_WORDS; i++)
		out[i] += in[i];
}

/* Mixes 64 bits into the key; the old key stays in it. */
static void
stir(struct random_state *r, uint64_t value)
{
	uint32_t block[BLOCK_WORDS];

	block_make(r->key, r->counter++, value, block);
	memcpy(r->key, block, sizeof(r->key));
}

static void
seed(struct random_state *r)
{
	uint64_t hardware;

	r->seeded_ns = core_now_ns();
	r->space = control()->space;
	stir(r, core_wall_ns());
	stir(r, (uint64_t)control()->env << 32 | r->space);
	/* Time between reads of the clock varies with everything the machine does. */
	for (int i = 0; i < 16; i++)
		stir(r, core_now_ns());
	for (int i = 0; i < 4; i++)
		if (random_hardware(&hardware))
			stir(r, hardware);
}

static struct random_state *
random_state(void)
{
	struct fd_table *t = fd_table();
	struct random_state *r = t->random;

	if (!r) {
		r = core_alloc(sizeof(*r));
		if (!r)
			return NULL;
		memset(r, 0, sizeof(*r));
		t->random = r;
	}
	if (!r->seeded_ns || core_now_ns() - r->seeded_ns > RESEED_NS) {
		seed(r);
	} else if (r->space != control()->space) {
		/* The key is the parent's secret; number and time make it another. */
		r->space = control()->space;
		r->counter += (uint64_t)control()->env << 32;
		stir(r, core_now_ns());
	}
	return r;
}

void
random_fill(void *to, size_t n)
{
	struct random_state *r = random_state(), local;
	uint32_t block[BLOCK_WORDS];
	uint8_t *at = to;
	size_t k;

	if (!r) {
		memset(&local, 0, sizeof(local));
		seed(&local);
		r = &local;
	}
	if (n <= sizeof(block) - sizeof(r->key)) {
		/* One block is enough for both. */
		block_make(r->key, r->counter++, 0, block);
		memcpy(r->key, block, sizeof(r->key));
		memcpy(to, block + KEY_WORDS, n);
		memset(block, 0, sizeof(block));
		return;
	}
	while (n) {
		block_make(r->key, r->counter++, 0, block);
		k = n < sizeof(block) ? n : sizeof(block);
		memcpy(at, block, k);
		at += k;
		n -= k;
	}
	stir(r, 0);
	memset(block, 0, sizeof(block));
}

static int64_t
random_read(struct io *io)
{
	uint8_t bytes[256];
	size_t done = 0, n, got;

	while (io->left) {
		n = io->left < sizeof(bytes) ? io->left : sizeof(bytes);
		random_fill(bytes, n);
		got = io_put(io, bytes, n);
		done += got;
		if (got < n)
			return done ? (int64_t)done : -EFAULT;
	}
	return (int64_t)done;
}

int64_t
device_read(struct file *f, struct io *io)
{
	size_t n = io->left, got;

	if (f->type == SVC_T_NULL)
		return 0;
	if (f->type == SVC_T_RANDOM)
		return random_read(io);
	got = io_clear(io, n);
	return got || !n ? (int64_t)got : -EFAULT;
}

int64_t
device_write(struct file *f, struct io *io)
{
	size_t n = io->left;

	if (f->type == SVC_T_FULL && n)
		return -ENOSPC;
	io_skip(io, n);
	return (int64_t)n;
}
