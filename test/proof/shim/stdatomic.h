/* SPDX-License-Identifier: MIT */
/*
 * Atomic operations as plain ones: the proofs look at one processor, whose every step is whole.
 * What several processors do at once is the matter of the Spin models.
 */
#ifndef PROOF_STDATOMIC_H
#define PROOF_STDATOMIC_H

typedef unsigned int atomic_uint;
typedef unsigned long atomic_ulong;

enum { memory_order_relaxed, memory_order_acquire, memory_order_release, memory_order_seq_cst };

#define atomic_load(p)                 (*(p))
#define atomic_load_explicit(p, o)     (*(p))
#define atomic_store(p, v)             ((void)(*(p) = (v)))
#define atomic_store_explicit(p, v, o) ((void)(*(p) = (v)))
#define atomic_thread_fence(o)         ((void)0)

#define PROOF_FETCH(p, op, v)                      \
	({                                         \
		__typeof__(*(p)) proof_old = *(p); \
		*(p) = proof_old op(v);            \
		proof_old;                         \
	})
#define atomic_fetch_add(p, v) PROOF_FETCH(p, +, v)
#define atomic_fetch_sub(p, v) PROOF_FETCH(p, -, v)
#define atomic_fetch_or(p, v)  PROOF_FETCH(p, |, v)
#define atomic_fetch_and(p, v) PROOF_FETCH(p, &, v)

#define PROOF_EXCHANGE(p, old, new)               \
	({                                        \
		bool proof_same = *(p) == *(old); \
		if (proof_same)                   \
			*(p) = (new);             \
		else                              \
			*(old) = *(p);            \
		proof_same;                       \
	})
#define atomic_compare_exchange_weak(p, old, new)                PROOF_EXCHANGE(p, old, new)
#define atomic_compare_exchange_weak_explicit(p, old, new, s, f) PROOF_EXCHANGE(p, old, new)

/* The compiler's own, which the kernel uses where the object is not declared atomic. */
#define __atomic_load_n(p, o)                           (*(p))
#define __atomic_store_n(p, v, o)                       ((void)(*(p) = (v)))
#define __atomic_thread_fence(o)                        ((void)0)
#define __atomic_compare_exchange_n(p, old, v, w, s, f) PROOF_EXCHANGE(p, old, v)
#define __atomic_exchange_n(p, v, o)               \
	({                                         \
		__typeof__(*(p)) proof_old = *(p); \
		*(p) = (v);                        \
		proof_old;                         \
	})
#define __atomic_or_fetch(p, v, o)  (*(p) |= (v))
#define __atomic_and_fetch(p, v, o) (*(p) &= (v))
#define __atomic_add_fetch(p, v, o) (*(p) += (v))

#endif
