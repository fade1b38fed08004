/* SPDX-License-Identifier: MIT */
/*
 * Writes the manifest (include/host/manifest.h): what the guest is to start, and with what.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "exo.h"

#define SEED_BYTES 32u

static void record(struct text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void
record(struct text *text, const char *format, ...)
{
	va_list arguments;
	char *string;

	va_start(arguments, format);
	if (vasprintf(&string, format, arguments) < 0)
		die("out of memory");
	va_end(arguments);
	text_add(text, string, strlen(string) + 1);
	free(string);
}

static void
write_machine(struct text *text, const struct options *options, size_t domains, bool kvm)
{
	unsigned char seed[SEED_BYTES] = {0};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	/* A run that counts instructions is to be repeatable: its seed is always the same. */
	if (!options->icount && getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		die("the host has no random numbers");
	record(text, "version=1");
	record(text, "domains=%zu", domains);
	record(text, "cpus=%u", options->cpus);
	record(text, "time=%lld%09ld", (long long)now.tv_sec, now.tv_nsec);
	text_print(text, "seed=");
	for (unsigned i = 0; i < SEED_BYTES; i++)
		text_print(text, "%02x", seed[i]);
	text_add(text, "", 1);
	record(text, "icount=%d", options->icount);
	record(text, "accel=%s", kvm ? "kvm" : "tcg");
}

static void
write_terminal(struct text *text, const struct stdio *stdio)
{
	uint16_t size[4];

	if (!stdio->terminal)
		return;
	stdio_winsize(stdio, size);
	record(text, "terminal.input=%s", stdio->raw_in ? "guest" : "none");
	record(text, "terminal.output=%s", stdio->raw_out ? "guest" : "host");
	record(text, "terminal.stream=%u", stdio->out_stream);
	record(text, "terminal.rows=%u", size[0]);
	record(text, "terminal.cols=%u", size[1]);
	record(text, "terminal.xpixel=%u", size[2]);
	record(text, "terminal.ypixel=%u", size[3]);
}

/* Whether a NAME=VALUE names what one of the list does, from `from` on. */
static bool
env_named(const struct list *list, size_t from, const char *pair)
{
	size_t length = strcspn(pair, "=") + 1;

	for (size_t i = from; i < list->count; i++)
		if (strncmp(list->items[i], pair, length) == 0)
			return true;
	return false;
}

static void
write_env(struct text *text, size_t domain, const struct options *options, bool terminal)
{
	const char *term = terminal ? getenv("TERM") : NULL;
	char *named = format_text("TERM=%s", term && *term ? term : "dumb");
	const char *const defaults[] = {"PATH=" GUEST_PATH, "HOME=/root", named, "PWD=/"};
	const struct list *given = &options->env;

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (!env_named(given, 0, defaults[i]))
			record(text, "%zu.env=%s", domain, defaults[i]);
	for (size_t i = 0; i < given->count; i++)
		if (!env_named(given, i + 1, given->items[i]))
			record(text, "%zu.env=%s", domain, given->items[i]);
	free(named);
}

static void
write_domain(struct text *text, size_t index, const struct domain *domain,
	     const struct options *options, const struct stdio *stdio)
{
	static const char *const kinds[] = {"tty", "pipe", "file", "null", "closed"};
	static const char *const names[] = {"stdin", "stdout", "stderr"};

	record(text, "%zu.name=%s", index, domain->name);
	record(text, "%zu.path=%s", index, domain->path);
	record(text, "%zu.cwd=/", index);
	for (size_t i = 0; i < domain->args.count; i++)
		record(text, "%zu.arg=%s", index, domain->args.items[i]);
	write_env(text, index, options, index == 0 && stdio->terminal);
	for (unsigned i = 0; i < 3; i++)
		record(text, "%zu.%s=%s", index, names[i],
		       index == 0 ? kinds[stdio->kind[i]]
		       : i == 0   ? "null"
				  : "pipe");
	/* The lines of a domain beside the first all go to standard error: one stream keeps their
	 * order. */
	record(text, "%zu.same=%d", index, index == 0 ? stdio->same : 1);
}

void
manifest_write(struct text *text, const struct options *options, const struct stdio *stdio,
	       const struct domain *domains, size_t count, bool kvm)
{
	write_machine(text, options, count, kvm);
	write_terminal(text, stdio);
	for (size_t i = 0; i < options->guest_options.count; i++)
		record(text, "option.%s", options->guest_options.items[i]);
	for (size_t i = 0; i < count; i++)
		write_domain(text, i, &domains[i], options, stdio);
}
