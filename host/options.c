/* SPDX-License-Identifier: MIT */
/*
 * The command line of `exo run`: one table says what options there are.  Options end at the first
 * word that is not one, or at "--"; what follows is the program's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exo.h"

#define MEMORY_LEAST (64ull << 20)
#define MEMORY_MOST  (256ull << 30)
#define TIMEOUT_MOST 1000000000.0 /* seconds */

enum option {
	OPTION_ROOT,
	OPTION_FILE,
	OPTION_ENV,
	OPTION_CPUS,
	OPTION_MEM,
	OPTION_NET,
	OPTION_LATER,
	OPTION_LIBOS,
	OPTION_WITH,
	OPTION_ICOUNT,
	OPTION_ACCEL,
	OPTION_TIMEOUT,
	OPTION_LOG,
	OPTION_GDB,
	OPTION_HELP,
	OPTION_MACHINE,
	OPTION_KERNEL,
	OPTION_KERNEL_OPT,
	OPTION_GUEST_OPT,
	OPTION_QEMU_OPT,
};

static const struct {
	const char *name;
	enum option option;
	bool has_value;
} option_table[] = {
	{"root", OPTION_ROOT, true},
	{"file", OPTION_FILE, true},
	{"env", OPTION_ENV, true},
	{"cpus", OPTION_CPUS, true},
	{"mem", OPTION_MEM, true},
	{"net", OPTION_NET, true},
	{"publish", OPTION_LATER, true},
	{"ip", OPTION_LATER, true},
	{"disk", OPTION_LATER, true},
	{"libos", OPTION_LIBOS, true},
	{"with", OPTION_WITH, true},
	{"icount", OPTION_ICOUNT, false},
	{"accel", OPTION_ACCEL, true},
	{"timeout", OPTION_TIMEOUT, true},
	{"log", OPTION_LOG, true},
	{"gdb", OPTION_GDB, false},
	{"help", OPTION_HELP, false},
	{"machine", OPTION_MACHINE, true},
	{"kernel", OPTION_KERNEL, true},
	{"kernel-opt", OPTION_KERNEL_OPT, true},
	{"guest-opt", OPTION_GUEST_OPT, true},
	{"qemu-opt", OPTION_QEMU_OPT, true},
};

void
options_help(void)
{
	printf("Usage: exo run [OPTIONS] [--] PROGRAM [ARG...]\n"
	       "\n"
	       "Runs PROGRAM, a Linux x86-64 program of this machine (a static ELF file, or a "
	       "script\n"
	       "whose interpreter is one), on ExOS above Aegis in a virtual machine.\n"
	       "\n"
	       "  --root DIR            use DIR as the guest's root file system\n"
	       "  --file SRC[:DST]      add a file or a folder; may repeat\n"
	       "  --env NAME=VALUE      set an environment variable; may repeat\n"
	       "  --cpus N              processors, 1 to 8 (default 2)\n"
	       "  --mem SIZE            memory, as 512M or 2G (default 512M)\n"
	       "  --net none|user       (default user; programs have no network yet)\n"
	       "  --libos NAME          start another library OS than ExOS\n"
	       "  --with \"COMMAND\"      start this program too, in a domain of its own; may "
	       "repeat; its\n"
	       "                        output lines are prefixed with its name on standard error\n"
	       "  --icount              count instructions: one CPU, virtual time\n"
	       "  --accel tcg|kvm|auto  (default tcg); auto: kvm if a short probe boots, else tcg\n"
	       "  --timeout SECONDS     end the run after this time with status 124 (default 0: "
	       "never)\n"
	       "  --log FILE            write the kernel's log to FILE\n"
	       "  --gdb                 wait for gdb, print the command to attach\n"
	       "\n"
	       "Not yet: --net tap=IFNAME, --publish, --ip, --disk.\n"
	       "\n"
	       "The exit status is PROGRAM's; 128+N when signal N killed it; 124 after the "
	       "timeout; 125 when\n"
	       "exo or the machine failed. Pressing Ctrl-] three times within a second ends an "
	       "interactive\n"
	       "run.\n"
	       "\n"
	       "For developers:\n"
	       "  --machine q35|pc|microvm   (default q35)\n"
	       "  --kernel FILE              boot this kernel\n"
	       "  --kernel-opt STRING        add to the kernel's command line; may repeat\n"
	       "  --guest-opt KEY=VALUE      an option of the library OS; may repeat\n"
	       "  --qemu-opt STRING          add an argument to QEMU's command line; may repeat\n"
	       "Environment: EXO_QEMU (the emulator), EXO_BUILD (directory of the kernel and "
	       "ExOS).\n");
}

static unsigned
parse_cpus(const char *value)
{
	char *end;
	unsigned long cpus;

	errno = 0;
	cpus = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || cpus < 1 || cpus > 8)
		die("--cpus %s: a number from 1 to 8 is needed", value);
	return (unsigned)cpus;
}

static uint64_t
parse_memory(const char *value)
{
	char *end;
	unsigned shift = 20;
	unsigned long long size;

	errno = 0;
	size = strtoull(value, &end, 10);
	if (*end == 'K' || *end == 'k')
		shift = 10, end++;
	else if (*end == 'M' || *end == 'm')
		end++;
	else if (*end == 'G' || *end == 'g')
		shift = 30, end++;
	if (*value < '0' || *value > '9' || *end || errno || size > MEMORY_MOST >> shift)
		die("--mem %s: a size such as 512M or 2G is needed, at most 256G", value);
	size <<= shift;
	if (size < MEMORY_LEAST)
		die("--mem %s: at least 64M is needed", value);
	return size & ~((1ull << 20) - 1);
}

static int64_t
parse_timeout(const char *value)
{
	char *end;
	double seconds = strtod(value, &end);

	if (((*value < '0' || *value > '9') && *value != '.') || *end || end == value ||
	    !(seconds >= 0 && seconds <= TIMEOUT_MOST))
		die("--timeout %s: a number of seconds is needed", value);
	if (seconds > 0 && seconds < 0.001)
		return 1;
	return (int64_t)(seconds * 1000);
}

/* One of `words`, which ends with NULL. */
static unsigned
parse_word(const char *option, const char *value, const char *const *words, const char *wanted)
{
	for (unsigned i = 0; words[i]; i++)
		if (strcmp(value, words[i]) == 0)
			return i;
	die("--%s %s: %s is needed", option, value, wanted);
}

static void
check_net(const char *value)
{
	if (strncmp(value, "tap=", 4) == 0 && value[4])
		die("--net %s: not yet; this version has no network", value);
	if (strcmp(value, "none") != 0 && strcmp(value, "user") != 0)
		die("--net %s: none, user or tap=IFNAME is needed", value);
}

/* NAME=VALUE with a name. */
static char *
check_pair(const char *option, char *value)
{
	const char *equals = strchr(value, '=');

	if (!equals || equals == value)
		die("--%s %s: NAME=VALUE is needed", option, value);
	return value;
}

static char *
check_libos(char *value)
{
	size_t length = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	if (length == 0 || length > 32 || value[length] || value[0] == '-')
		die("--libos %s: not a name of a library OS (letters, digits, - and _)", value);
	return value;
}

static void
option_apply_developer(struct options *options, enum option option, const char *name, char *value)
{
	static const char *const machines[] = {"q35", "pc", "microvm", NULL};

	switch (option) {
	case OPTION_MACHINE:
		parse_word(name, value, machines, "q35, pc or microvm");
		options->machine = value;
		break;
	case OPTION_KERNEL:
		options->kernel = value;
		break;
	case OPTION_KERNEL_OPT:
		list_add(&options->kernel_options, value);
		break;
	case OPTION_GUEST_OPT:
		list_add(&options->guest_options, check_pair(name, value));
		break;
	case OPTION_QEMU_OPT:
		list_add(&options->qemu_options, value);
		break;
	default:
		break;
	}
}

static void
option_apply(struct options *options, enum option option, const char *name, char *value)
{
	static const char *const accels[] = {"tcg", "kvm", "auto", NULL};

	switch (option) {
	case OPTION_ROOT:
		options->root = value;
		break;
	case OPTION_FILE:
		list_add(&options->files, value);
		break;
	case OPTION_ENV:
		list_add(&options->env, check_pair(name, value));
		break;
	case OPTION_CPUS:
		options->cpus = parse_cpus(value);
		options->cpus_given = true;
		break;
	case OPTION_MEM:
		options->memory = parse_memory(value);
		break;
	case OPTION_NET:
		check_net(value);
		break;
	case OPTION_LATER:
		die("--%s %s: not yet; this version has no network and no disks", name, value);
	case OPTION_LIBOS:
		options->libos = check_libos(value);
		break;
	case OPTION_WITH:
		list_add(&options->with, value);
		break;
	case OPTION_ICOUNT:
		options->icount = true;
		break;
	case OPTION_ACCEL:
		options->accel = (enum accel)parse_word(name, value, accels, "tcg, kvm or auto");
		break;
	case OPTION_TIMEOUT:
		options->timeout_ms = parse_timeout(value);
		break;
	case OPTION_LOG:
		options->log = value;
		break;
	case OPTION_GDB:
		options->gdb = true;
		break;
	case OPTION_HELP:
		options_help();
		exit(0);
	default:
		option_apply_developer(options, option, name, value);
	}
}

/* Applies the option args[0]; the number of words it took. */
static unsigned
option_parse(struct options *options, char **args)
{
	char *word = args[0] + 2, *equals = strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : strlen(word);

	if (strcmp(args[0], "-h") == 0) {
		options_help();
		exit(0);
	}
	for (size_t i = 0; i < sizeof(option_table) / sizeof(option_table[0]); i++) {
		const char *name = option_table[i].name;
		char *value = equals ? equals + 1 : args[1];

		if (args[0][1] != '-' || strlen(name) != length || memcmp(name, word, length) != 0)
			continue;
		if (!option_table[i].has_value && equals)
			die("--%s takes no value", name);
		if (option_table[i].has_value && (!value || (!*value && equals == NULL)))
			die("--%s needs a value", name);
		option_apply(options, option_table[i].option, name, value);
		return option_table[i].has_value && !equals ? 2 : 1;
	}
	die("%s: there is no such option; see exo run --help", args[0]);
}

static void
options_check(struct options *options)
{
	if (!options->program && strcmp(options->libos, "exos") == 0)
		die("no PROGRAM was given; see exo run --help");
	if (options->program && !*options->program)
		die("the name of the program is empty");
	if (options->icount && options->cpus_given && options->cpus > 1)
		die("--icount implies one CPU: --cpus %u cannot be used with it", options->cpus);
	if (options->icount && options->accel == ACCEL_KVM)
		die("--icount needs --accel tcg");
	if (options->with.count + 1 > CHANNEL_DOMAINS)
		die("--with can be given at most %u times", CHANNEL_DOMAINS - 1);
	if (options->with.count > 0 && !options->program)
		die("--with needs a PROGRAM beside it");
	if (options->icount) {
		options->cpus = 1;
		options->accel = ACCEL_TCG;
	}
}

void
options_parse(struct options *options, char **args)
{
	*options = (struct options){
		.libos = "exos", .machine = "q35", .cpus = 2, .memory = 512ull << 20};
	while (args[0] && args[0][0] == '-' && args[0][1]) {
		if (strcmp(args[0], "--") == 0) {
			args++;
			break;
		}
		args += option_parse(options, args);
	}
	options->program = args[0];
	options->args = args;
	options_check(options);
}

/* Adds what a backslash inside double quotes or outside of quotes stands for. */
static const char *
split_backslash(struct text *word, const char *at, bool quoted)
{
	bool kept = quoted && !strchr("\"\\$`", at[1]);

	if (at[1] == 0 || kept) {
		text_add(word, at, 1);
		return at + 1;
	}
	text_add(word, at + 1, 1);
	return at + 2;
}

bool
command_split(const char *command, struct list *words)
{
	struct text word = {0};
	char quote = 0;
	bool inside = false;

	for (const char *at = command; *at;) {
		if (!quote && strchr(" \t\n", *at)) {
			if (inside) {
				list_add(words, word.bytes);
				memset(&word, 0, sizeof(word));
			}
			inside = false;
			at++;
			continue;
		}
		if (!inside)
			text_add(&word, "", 0);
		inside = true;
		if (*at == '\\' && quote != '\'') {
			at = split_backslash(&word, at, quote != 0);
		} else if (quote ? *at == quote : *at == '"' || *at == '\'') {
			quote = quote ? 0 : *at;
			at++;
		} else {
			text_add(&word, at++, 1);
		}
	}
	if (inside)
		list_add(words, word.bytes);
	return !quote && words->count > 0;
}
