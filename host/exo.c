/* SPDX-License-Identifier: MIT */
/*
 * exo: runs Linux programs on ExOS above Aegis, in a machine of their own.
 *
 * Everything that can be found wrong on the host is found before the machine starts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exo.h"

static void
help(void)
{
	printf("Usage: exo run [OPTIONS] [--] PROGRAM [ARG...]\n"
	       "       exo version\n"
	       "       exo --help | exo run --help\n"
	       "\n"
	       "Runs Linux x86-64 programs, unmodified, on ExOS, a library operating system above "
	       "the\n"
	       "exokernel Aegis, in a virtual machine.\n"
	       "\n"
	       "  exo run /bin/busybox sh        an interactive shell\n"
	       "  exo run --help                 all options\n");
}

/* What --file SRC[:DST] means; a DST that ends with a slash is a folder to put it in. */
static void
add_file(struct tree *tree, const char *given)
{
	const char *colon = access(given, F_OK) == 0 ? NULL : strrchr(given, ':');
	char *source = colon ? format_text("%.*s", (int)(colon - given), given) : duplicate(given);
	char *path;

	if (colon && colon[1] != '/')
		die("--file %s: the place in the guest must be an absolute path", given);
	if (!*source)
		die("--file %s: SRC[:DST] is needed", given);
	if (access(source, F_OK) != 0)
		die("--file %s: %s", source, strerror(errno));
	if (colon && colon[strlen(colon) - 1] == '/' && colon[2]) {
		char *clean = path_clean(source);
		char *joined = format_text("%s%s", colon + 1, strrchr(clean, '/') + 1);

		path = path_clean(joined);
		free(joined);
		free(clean);
	} else {
		path = path_clean(colon ? colon + 1 : source);
	}
	tree_add_host(tree, source, path);
	free(source);
	free(path);
}

static struct tree *
tree_build(const struct options *options)
{
	struct tree *tree = tree_new();

	if (options->root)
		tree_add_root(tree, options->root);
	else
		tree_skeleton(tree);
	for (size_t i = 0; i < options->files.count; i++)
		add_file(tree, options->files.items[i]);
	return tree;
}

/* Names are unique: the second program called NAME becomes NAME.2. */
static void
domains_name(struct domain *domains, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		char *base = domains[i].name;

		for (unsigned number = 2, j = 0; j < i; j++) {
			if (strcmp(domains[i].name, domains[j].name) != 0)
				continue;
			domains[i].name = format_text("%s.%u", base, number++);
			j = (unsigned)-1;
		}
	}
}

/* The programs, and what they need, into the tree. */
static size_t
domains_build(const struct options *options, struct tree *tree, struct domain *domains)
{
	size_t count = 0;

	if (!options->program)
		return 0;
	for (char **arg = options->args; *arg; arg++)
		list_add(&domains[0].args, *arg);
	domain_resolve(tree, &domains[count++], options->program);
	for (size_t i = 0; i < options->with.count; i++) {
		struct domain *domain = &domains[count++];

		if (!command_split(options->with.items[i], &domain->args))
			die("--with \"%s\": is not a command (empty, or a quote is open)",
			    options->with.items[i]);
		if (!domain->args.items[0][0])
			die("--with \"%s\": the name of the program is empty",
			    options->with.items[i]);
		domain_resolve(tree, domain, domain->args.items[0]);
	}
	domains_name(domains, count);
	return count;
}

/* Its ELF file, or with `suffix` what was made of that. */
static char *
libos_find(const char *name, const char *suffix)
{
	char *path;

	path = format_text("%s%s%s", strcmp(name, "exos") == 0 ? "" : "libos/", name, suffix);
	return path_artefact(path);
}

static int
log_open(const char *path)
{
	int fd = -1;

	if (path) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
		if (fd < 0)
			die("--log %s: %s", path, strerror(errno));
	}
	return fd;
}

static int
command_run(char **args)
{
	static struct domain domains[CHANNEL_DOMAINS];
	struct options options;
	struct text manifest = {0};
	struct stdio stdio;
	struct qemu qemu;
	struct tree *tree;
	unsigned port = 0;
	char *image;
	size_t count;
	int archive, log_fd;
	bool kvm;

	stdio_inspect(&stdio);
	options_parse(&options, args);
	if (!options.kernel)
		free(path_artefact("aegis.elf"));
	else if (access(options.kernel, R_OK) != 0)
		die("--kernel %s: %s", options.kernel, strerror(errno));
	image = libos_find(options.libos, ".image");
	qemu_program();
	tree = tree_build(&options);
	count = domains_build(&options, tree, domains);
	tree_report(tree);
	log_fd = log_open(options.log);
	kvm = options.accel == ACCEL_KVM || (options.accel == ACCEL_AUTO && probe_kvm(&options));
	manifest_write(&manifest, &options, &stdio, domains, count, kvm);
	archive = image_write(&options, tree, image, &manifest);
	if (options.gdb) {
		port = gdb_port();
		gdb_message(&options, domains, count, libos_find(options.libos, ""), port);
	}
	qemu_start(&qemu, &options, archive, kvm, port);
	close(archive);
	return run_machine(&qemu, &options, &stdio, domains, count, log_fd);
}

int
main(int count, char **args)
{
	const char *command = count > 1 ? args[1] : "";

	if (strcmp(command, "run") == 0)
		return command_run(args + 2);
	if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
		printf("exo %s\n", EXO_VERSION);
		return 0;
	}
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
	    strcmp(command, "help") == 0) {
		help();
		return 0;
	}
	if (*command)
		die("%s: there is no such command; see exo --help", command);
	die("no command was given; see exo --help");
}
