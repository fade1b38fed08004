/* SPDX-License-Identifier: MIT */
/*
 * The debugger's side: a free port for QEMU's stub, and the command that attaches with the symbols
 * of the kernel, the library OS and the program.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exo.h"

#define GDB_FIRST 1234u
#define GDB_TRIES 64u

unsigned
gdb_port(void)
{
	for (unsigned port = GDB_FIRST; port < GDB_FIRST + GDB_TRIES; port++) {
		struct sockaddr_in address = {.sin_family = AF_INET,
					      .sin_port = htons((uint16_t)port),
					      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
		int result;

		if (fd < 0)
			break;
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		result = bind(fd, (struct sockaddr *)&address, sizeof(address));
		close(fd);
		if (result == 0)
			return port;
	}
	die("--gdb: no free port from %u on", GDB_FIRST);
}

/* A word for a shell, inside single quotes that are already open. */
static void
print_quoted(const char *word)
{
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", stderr);
		else
			fputc(*word, stderr);
	}
}

static void
print_command(const char *command, const char *file)
{
	fprintf(stderr, " -ex '%s \"", command);
	print_quoted(file);
	fputs("\"'", stderr);
}

void
gdb_message(const struct options *options, const struct domain *domains, size_t count,
	    const char *libos_file, unsigned port)
{
	char *kernel = options->kernel ? duplicate(options->kernel) : path_artefact("aegis.elf");

	fputs("exo: the machine waits for gdb; attach with:\n  gdb", stderr);
	print_command("file", kernel);
	print_command("add-symbol-file", libos_file);
	for (size_t i = 0; i < count; i++)
		if (domains[i].symbols)
			print_command("add-symbol-file", domains[i].symbols);
	fprintf(stderr, " -ex 'target remote 127.0.0.1:%u'\n", port);
	free(kernel);
}
