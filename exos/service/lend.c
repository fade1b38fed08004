/* SPDX-License-Identifier: MIT */
/*
 * vfork: a child that uses its parent's environment and space until it ends or has its own.
 *
 * The environment that asked is the child from then on: it is found under the child, its mail and message
 * pages are the child's.  The parent keeps its entry, and what comes for it waits in its mail.
 *
 *  1. borrower->lender == p exactly while p->borrower == borrower; a borrower may lend again.
 *  2. Environment and space of the last borrower of a chain are those of all its lenders; only that one
 *     is found by them.
 *  3. An environment of its own (SVC_DETACH) is filled by the borrower from outside.  When it is complete
 *     the borrower is there, and the environment that made it is the lender again.
 *  4. A lender that ends leaves environment and space to the borrower.
 */
#include "exos/service/priv.h"

int64_t
op_lend(struct service *sv, struct proc *p, struct svc *s)
{
	struct proc_place place = p->place;
	struct proc *child;
	int err;

	if (s->a & ~(uint64_t)(SVC_FORK_VFORK | SVC_FORK_LEND))
		return -EINVAL;
	err = proc_create(sv, p, true, &child);
	if (err)
		return err;
	err = share_clone(p, child);
	if (!err)
		err = proc_pages_show(child, p->space);
	if (err) {
		(void)proc_pages_show(p, p->space);
		proc_pages_hide(child, p->space);
		proc_discard(sv, child);
		return err;
	}
	object_clone_all(sv, p, child);
	sv->forks++;
	proc_unhash_env(sv, p);
	child->place = place;
	proc_hash_env(sv, child);
	child->own_slot = p->own_slot;
	child->lender = p;
	p->borrower = child;
	child->state = PROC_LIVE;
	return child->pid;
}

/* The environment that p uses is its lender's again. */
static void
lent_return(struct service *sv, struct proc *p)
{
	struct proc *lender = p->lender;

	proc_unhash_env(sv, p);
	p->lender = lender->borrower = NULL;
	p->place = (struct proc_place){0};
	proc_hash_env(sv, lender);
	(void)proc_pages_show(lender, lender->space);
	proc_pages_hide(p, lender->space);
	/* The name for its children, if the borrower became somebody else. */
	if (lender->own_slot != EXOS_CAP_OWN)
		(void)kern_grant(lender->child_slot, lender->env, RIGHTS_OWN, lender->own_slot);
}

static void
detached_drop(struct service *sv, struct proc *p)
{
	struct proc_place place = p->place;

	if (!p->detached.env)
		return;
	p->place = p->detached;
	/* Nothing ran there. */
	(void)proc_kernel_release(p);
	p->detached = (struct proc_place){0};
	p->place = place;
	(void)sv;
}

void
proc_unlend(struct service *sv, struct proc *p)
{
	struct proc *borrower = p->borrower;

	detached_drop(sv, p);
	if (borrower) {
		/* A lender in the middle of a chain leaves it. */
		borrower->lender = p->lender;
		if (p->lender)
			p->lender->borrower = borrower;
		else
			proc_pages_hide(p, borrower->space);
		p->borrower = p->lender = NULL;
		p->place = (struct proc_place){0};
	} else if (p->lender) {
		lent_return(sv, p);
	}
}

int64_t
op_detach(struct service *sv, struct proc *p, struct svc *s)
{
	struct proc_place place = p->place;
	uint32_t slot;
	int err;

	if (!p->lender)
		return -ENXIO;
	detached_drop(sv, p);
	/* It is made under the name that it makes its children under. */
	slot = name_take(sv, sv->names[p->child_slot].uid);
	name_give(sv, p->slot);
	p->slot = slot;
	err = proc_place_make(sv, p);
	if (!err)
		p->detached = p->place; /* detached_drop has emptied it */
	p->place = place;
	if (err)
		return err;
	s->a = p->detached.env;
	s->b = p->detached.space;
	s->c = p->cpu;
	s->d = p->own_slot;
	return 0;
}

int64_t
op_detached(struct service *sv, struct proc *p, struct svc *s)
{
	struct proc_place place = p->detached;

	if (!place.env)
		return -ESRCH;
	if (s->a != 1) {
		detached_drop(sv, p);
		return 0;
	}
	if (p->lender)
		lent_return(sv, p);
	else
		return -ENXIO;
	p->detached = (struct proc_place){0};
	p->own_slot = EXOS_CAP_OWN;
	p->place = place;
	proc_hash_env(sv, p);
	kern_start(p->env);
	return 0;
}
