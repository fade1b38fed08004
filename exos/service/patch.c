/* SPDX-License-Identifier: MIT */
#include "exos/service/priv.h"

int64_t
op_text(struct service *sv, struct proc *p, struct svc *s)
{
	s->d = 0;
	return op_map(sv, p, s);
}

int64_t
op_patch(struct service *sv, struct proc *p, struct svc *s)
{
	(void)sv;
	(void)p;
	(void)s;
	return 0;
}

void
patch_drop(struct service *sv, struct sfile *file)
{
	(void)sv;
	(void)file;
}

void
patch_page_gone(struct service *sv, struct sfile *file, uint64_t index)
{
	(void)sv;
	(void)file;
	(void)index;
}
