/* SPDX-License-Identifier: MIT */
/*
 * The host channel: buffers of its claimer, posted to the device.
 *
 * Owns: the claim, and for each queue AEGIS_CHAN_SLOTS slots.
 *
 * 1. A posted frame has one reference of its own (frame.refs), so that it cannot change owner while
 *    the device may access it, even across its poster's death; chan_done drops it.
 * 2. Posts complete in order for the claimer: done[q] is the number of leading posts that completed.
 * 3. The device is not believed: completions of slots that are not under way are ignored, and a length
 *    is cut to what was posted.
 * 4. A slot is reused only after its completion: posted[q] - done[q] <= AEGIS_CHAN_SLOTS.
 *
 * Lock: chan_lock, inside the environment's and the space's lock.  Exposed: the channel page, readable
 * by the claimer.  Revoked: with the claimer; buffers under way stay pinned until the device is done.
 */
#include "kernel.h"

struct post {
	uint32_t pfn, length;
	bool busy, complete;
};

static struct lock chan_lock;
static struct {
	uint32_t env, generation;
	uint32_t posted[2];
	struct post slots[2][AEGIS_CHAN_SLOTS];
} chan;
static struct aegis_chan_page *page;

void
chan_init(void)
{
	uint32_t pfn;

	if (!machine_chan_present())
		return;
	pfn = mem_kernel_alloc(1, FRAME_EXPOSED);
	page = machine_frame(pfn);
	page->size = sizeof(*page);
	page->version = AEGIS_VERSION;
	system_page->chan_frame = pfn;
}

status
sys_chan_claim(uint32_t cap)
{
	struct env *self = current();
	status st = cap_node(self, cap, AEGIS_DEVICE);

	if (st < 0)
		return st;
	if (!page)
		return AEGIS_NO_SUCH;
	lock_acquire(&chan_lock);
	st = chan.env ? AEGIS_IN_USE : AEGIS_OK;
	if (st == AEGIS_OK) {
		chan.env = self->number;
		chan.generation = self->generation;
	}
	lock_release(&chan_lock);
	return st;
}

/* The caller's space holds the frame as the queue needs it; one reference is the device's. */
static status
frame_pin(struct space *s, uint32_t pfn, uint32_t queue)
{
	uint8_t need = queue == 0 ? AEGIS_HOLD_WRITE : AEGIS_HOLD_READ;
	status st = AEGIS_NOT_HELD;
	uint8_t *hold;

	lock_acquire(&s->lock);
	hold = pfn < frame_count ? _hold_find(s, pfn) : NULL;
	if (hold && (*hold & need) && frames[pfn].kind == FRAME_USER) {
		atomic_fetch_add(&frames[pfn].refs, 1);
		frame_clean(pfn);
		st = AEGIS_OK;
	}
	lock_release(&s->lock);
	return st;
}

status
sys_chan_post(uint32_t queue, uint32_t pfn, uint32_t offset, uint32_t length)
{
	struct env *self = current();
	uint32_t slot, number;
	status st;

	if (queue > 1 || length == 0 || offset >= PAGE || length > PAGE - offset)
		return AEGIS_BAD_ARG;
	if (chan.env != self->number || chan.generation != self->generation)
		return AEGIS_NOT_HELD;
	st = frame_pin(self->space, pfn, queue);
	if (st != AEGIS_OK)
		return st;
	lock_acquire(&chan_lock);
	number = chan.posted[queue];
	slot = number % AEGIS_CHAN_SLOTS;
	if (chan.slots[queue][slot].busy) {
		st = AEGIS_BUSY;
	} else {
		chan.slots[queue][slot] = (struct post){pfn, length, true, false};
		chan.posted[queue]++;
		machine_chan_post(queue, slot, (uint64_t)pfn * PAGE + offset, length);
	}
	lock_release(&chan_lock);
	if (st != AEGIS_OK) {
		mem_release(pfn);
		return st;
	}
	COUNT(chan_posts);
	return number;
}

/* The oldest that the claimer was not told of.  chan_lock held. */
static struct post *
_post_first(uint32_t queue)
{
	return &chan.slots[queue][page->done[queue] % AEGIS_CHAN_SLOTS];
}

void
chan_done(uint32_t queue, uint32_t slot, uint32_t length)
{
	uint32_t env, generation, pfn;
	struct post *p;
	struct env *e;

	if (queue > 1 || slot >= AEGIS_CHAN_SLOTS)
		return;
	lock_acquire(&chan_lock);
	p = &chan.slots[queue][slot];
	if (!p->busy || p->complete) {
		lock_release(&chan_lock);
		return;
	}
	p->complete = true;
	page->length[queue][slot] = length < p->length ? length : p->length;
	pfn = p->pfn;
	for (p = _post_first(queue); p->busy && p->complete; p = _post_first(queue)) {
		p->busy = false;
		__atomic_store_n(&page->done[queue], page->done[queue] + 1, __ATOMIC_RELEASE);
	}
	env = chan.env;
	generation = chan.generation;
	lock_release(&chan_lock);
	mem_release(pfn);
	e = env_lock(env, generation);
	if (!e)
		return;
	cpu_wake(e);
	env_unlock(e);
}

void
chan_release(struct env *e)
{
	lock_acquire(&chan_lock);
	if (chan.env == e->number && chan.generation == e->generation)
		chan.env = 0;
	lock_release(&chan_lock);
}
