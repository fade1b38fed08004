/* SPDX-License-Identifier: MIT */
/*
 * The shape of the supervisor.
 *
 * The supervisor owns the link to the host and starts one service environment a domain.  Between
 * the host and a domain it moves bytes and nothing else: rings on one side (exos/ipc/ring.h),
 * frames on the other (host/channel.h).  It trusts neither.  The host is obeyed only as far as the
 * channel's rules go; a breach sets `failed` and the machine is powered off.  Words of a ring may
 * be anything at any time: the end that the supervisor owns is counted privately and only published
 * there, the other end is believed only as far as it makes sense, so that nonsense costs nobody but
 * its domain.
 *
 * One thread of control: the main loop (main.c).  It waits on its event count, which completions of
 * the link, the services, and ends of services raise.
 *
 * Invariants:
 *  1. Output stream: tail <= sent <= tail + size.  Bytes before tail have left the machine, bytes
 *     before sent are posted: their frames are read by the device where they lie, so room is given
 *     back to writers only when a post completes.
 *  2. Input stream: credit that the host still has, plus bytes in the ring, never exceeds the size
 * when it is granted, so that what the host sends fits.
 *  3. A frame is posted whole: as many slots as it needs are free before its header is posted.
 *  4. After END nothing is sent on a stream; after EXIT nothing for a domain.
 *  5. posted - done <= LINK_SLOTS, and the small buffer of a slot is rewritten only when it is
 * free.
 */
#ifndef EXOS_SUPER_PRIV_H
#define EXOS_SUPER_PRIV_H

#include <host/channel.h>
#include "../core/core.h"
#include "../ipc/ring.h"
#include "../service/proto.h"

#define RING_PAGES   16u /* data pages of a ring to the host */
#define LINK_SLOTS   AEGIS_CHAN_SLOTS
#define LINK_SMALL   64u /* bytes of a slot's own buffer */
#define LINK_BUFFERS 32u /* pages that wait for the host's bytes */
#define SLOT_FIRST   8u  /* capability slot of domain 0's name */

/* ---- the link ---- */

enum link_kind { LINK_CHAN, LINK_SERIAL };

struct post {
	const uint8_t *at; /* serial: the bytes */
	uint32_t length;
	uint32_t owner; /* stream whose ring the bytes lie in, OWNER_NONE: nobody's */
};

#define OWNER_NONE       UINT32_MAX
#define OWNER(domain, n) ((domain)*CHANNEL_STREAMS + (n))

struct link {
	uint32_t kind;
	uint32_t posted, done; /* both only grow */
	struct post posts[LINK_SLOTS];
	uint32_t small_frame;
	uint8_t *small; /* LINK_SMALL bytes a slot */
	/* channel */
	const volatile struct aegis_chan_page *page;
	uint32_t received; /* posts of queue 0 that were taken */
	uint32_t buffer_frames[LINK_BUFFERS];
	uint8_t *buffers;
	/* serial */
	uint32_t written; /* bytes of post `done` that are out */
	bool sending;     /* the interrupt for room is on */
};

/* ---- streams and domains ---- */

struct stream {
	struct ring ring; /* shared NULL: no ring */
	uint32_t frames[RING_PAGES + 1];
	uint32_t kind;       /* enum host_stream */
	uint64_t head;       /* input: bytes put in; output that is ending: where it ends */
	uint64_t tail, sent; /* output */
	uint32_t credit;     /* output: that the host gave; input: that the host has left */
	uint32_t coming;     /* input: bytes of the present frame that are under way */
	bool wanted;         /* input: the domain asked for it */
	bool ended;          /* END has come, or was sent */
	bool closed;         /* CLOSE was sent, or has come */
	bool ending;         /* output: nothing behind head is sent */
	bool moved;          /* those who wait at the other end are to be woken */
	bool tight;          /* output: was nearly full since they were told of room */
};

enum domain_state {
	DOMAIN_NONE, /* never started */
	DOMAIN_RUNNING,
	DOMAIN_ENDING, /* output is being sent */
	DOMAIN_OVER,   /* EXIT was sent */
};

#define TELL_INPUT    (1u << 0)
#define TELL_ROOM     (1u << 1)
#define TELL_WINSIZE  (1u << 2)
#define TELL_SIGNAL   (1u << 3)
#define TELL_CLOSE(n) (1u << (4 + (n)))

struct domain {
	uint32_t number;
	uint32_t state;
	uint32_t slot; /* capability: the domain's name */
	uint32_t
		service_slot; /* below it: the service's environment and space, which processes may call */
	uint32_t env, space;
	uint32_t host_frame;
	struct host_page *host;
	struct stream stream[CHANNEL_STREAMS];
	uint32_t tell;    /* TELL_*: what the service does not know yet */
	uint64_t signals; /* bit n - 1 */
	uint16_t window[4];
	uint32_t close_error[CHANNEL_STREAMS];
	uint32_t exit_kind, exit_value;
	bool broken; /* its service ended */
};

struct super {
	const struct aegis_boot_page *boot;
	struct link link;
	struct channel_parser parser;
	const char *failed; /* why the machine cannot go on */
	uint32_t domain_count;
	uint32_t turn;              /* stream that sends first */
	uint32_t gate[AEGIS_GATES]; /* domain that it leads to, + 1 */
	const char *manifest;
	uint64_t manifest_bytes;
	uint32_t manifest_frame;
	bool terminal_input;
	uint32_t terminal_stream;
	uint32_t share[4]; /* of a domain: frames, environments, names, slices */
	struct domain domain[CHANNEL_DOMAINS];
	uint32_t scratch[1024];
};

#define SUPER_PAGES 14u
_Static_assert(sizeof(struct super) <= SUPER_PAGES * 4096, "private pages");

/* ---- manifest.c ---- */
int super_manifest_open(struct super *s); /* 0, or a negative error */
/* Value of `domain`.KEY (domain < 0: of KEY); false: there is none. */
bool super_manifest_find(const struct super *s, int domain, const char *key, const char **value,
			 size_t *length);
bool super_manifest_is(const struct super *s, int domain, const char *key, const char *value);
uint32_t super_manifest_number(const struct super *s, const char *key); /* 0: none */
bool super_option(const struct super *s, const char *word); /* on the kernel's command line */

/* ---- domain.c ---- */
void super_shares(struct super *s);
int super_domain_start(struct super *s, uint32_t number);

/* ---- link.c, chan.c, serial.c ---- */
int super_link_open(struct super *s);
uint32_t super_link_room(const struct super *s); /* free slots */
/* Each takes one free slot.  small: count <= LINK_SMALL, copied. */
void super_link_small(struct super *s, const uint8_t *bytes, uint32_t count);
void super_link_data(struct super *s, uint32_t pfn, const uint8_t *at, uint32_t length,
		     uint32_t owner);
bool super_link_poll(struct super *s); /* true: something came or went */
void super_link_done(struct super *s); /* the oldest post is complete */
int super_chan_open(struct super *s);
void super_chan_put(struct super *s, uint32_t pfn, uint32_t offset, uint32_t length);
bool super_chan_poll(struct super *s);
int super_serial_open(struct super *s);
void super_serial_put(struct super *s);
bool super_serial_poll(struct super *s);

/* ---- receive.c: what the host says ---- */
void super_receive(struct super *s, const uint8_t *bytes, size_t count);

/* ---- pump.c ---- */
void super_ring_open(struct stream *st, void *at, uint32_t kind);
void super_sent(struct super *s, uint32_t owner, uint32_t length); /* a post completed */
bool super_pump(struct super *s);                                  /* true: something moved */
/* Before sleeping: asks to be woken.  True: there is something to do already. */
bool super_pump_arm(struct super *s);
void super_pump_disarm(struct super *s);
void super_domain_end(struct domain *d, uint32_t kind, uint32_t value);

/* ---- tell.c ---- */
bool super_tell(struct super *s); /* true: a service was busy, try again soon */

/* ---- kernel.c: calls of the kernel; replaced in host tests ---- */
int64_t super_call(struct super *s, struct domain *d, struct svc *call); /* -EAGAIN: busy */
void super_wake(const struct domain *d, uint32_t env);
bool super_env_ended(const struct domain *d);

#endif
