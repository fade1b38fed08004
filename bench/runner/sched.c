/* SPDX-License-Identifier: MIT */
/*
 * The schedulers' picture: after each slice, how far each client's share is from its ideal one, relative to that; a panel for
 * each policy.  From the lines `NAME_step SLICE ERROR...` of the experiments sched_*.
 */
#include <stdlib.h>
#include <string.h>

#include "runner.h"

#define LEFT    70.0
#define WIDTH   640.0
#define HEIGHT  190.0
#define PANEL   270.0
#define CLIENTS 3
#define MOST    0.5 /* error at the edge */

static const char *const colours[CLIENTS] = {"#2f6f9f", "#c4522d", "#4a9a54"};
static const char *const clients[CLIENTS] = {"3 tickets", "2 tickets", "1 ticket"};

/* The errors in a step's line, which begins with its number; 0: it is another line. */
static unsigned
step_read(const char *line, double *error)
{
	unsigned step;

	return finding_value(line) || sscanf(line, "%*s %u %lf %lf %lf", &step, &error[0],
					     &error[1], &error[2]) != 1 + CLIENTS
		       ? 0
		       : step;
}

static unsigned
steps_of(const struct finding *f)
{
	double error[CLIENTS];
	unsigned last = 0, step;
	char line[256];
	size_t at = 0;

	while (f->have && finding_next(f, &at, line, sizeof(line))) {
		step = step_read(line, error);
		last = step > last ? step : last;
	}
	return last;
}

static void
curve(FILE *out, const struct finding *f, int client, double top, unsigned steps)
{
	double error[CLIENTS];
	char line[256];
	size_t at = 0;

	fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" points=\"", colours[client]);
	while (finding_next(f, &at, line, sizeof(line))) {
		unsigned step = step_read(line, error);
		double e = error[client];

		if (step == 0)
			continue;
		e = e > MOST ? MOST : e < -MOST ? -MOST : e;
		fprintf(out, "%.1f,%.1f ", LEFT + WIDTH * step / steps,
			top + HEIGHT * (MOST - e) / (2 * MOST));
	}
	fprintf(out, "\"/>\n");
}

static void
panel(FILE *out, size_t experiment, double top, unsigned steps)
{
	fprintf(out, "<text x=\"%.0f\" y=\"%.0f\">%s</text>\n", LEFT, top - 14,
		experiments[experiment].what);
	for (int i = -2; i <= 2; i++) {
		double y = top + HEIGHT * (2 - i) / 4;

		fprintf(out,
			"<line class=\"grid\" x1=\"%.0f\" y1=\"%.1f\" x2=\"%.0f\" y2=\"%.1f\"/>"
			"<text class=\"quiet\" x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%+.0f "
			"%%</text>\n",
			LEFT, y, LEFT + WIDTH, y, LEFT - 8, y + 4, i * 50 * MOST);
	}
	for (unsigned i = 0; i <= steps; i += 100)
		fprintf(out,
			"<text class=\"quiet\" x=\"%.0f\" y=\"%.0f\" "
			"text-anchor=\"middle\">%u</text>\n",
			LEFT + WIDTH * i / steps, top + HEIGHT + 16, i);
	for (int i = 0; i < CLIENTS; i++)
		curve(out, &findings[experiment][NATIVE], i, top, steps);
}

bool
sched_have(void)
{
	for (size_t i = 0; i < experiment_count; i++)
		if (steps_of(&findings[i][NATIVE]) > 0)
			return true;
	return false;
}

void
sched_svg_write(FILE *out)
{
	double top = 60;
	int panels = 0;

	for (size_t i = 0; i < experiment_count; i++)
		panels += steps_of(&findings[i][NATIVE]) > 0;
	fprintf(out,
		"<!-- SPDX-License-Identifier: MIT -->\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<style>.grid{stroke:#ddd}.quiet{fill:#888}text{fill:#222}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
		"<text x=\"%.0f\" y=\"20\">Relative error of each client's share of the processor, "
		"after each slice:</text>\n",
		LEFT + WIDTH + 30, 30 + PANEL * panels, LEFT);
	for (int i = 0; i < CLIENTS; i++)
		fprintf(out, "<text x=\"%.0f\" y=\"20\" style=\"fill:%s\">%s</text>\n",
			LEFT + 430 + 75 * i, colours[i], clients[i]);
	for (size_t i = 0; i < experiment_count; i++) {
		unsigned steps = steps_of(&findings[i][NATIVE]);

		if (steps == 0)
			continue;
		panel(out, i, top, steps);
		top += PANEL;
	}
	fprintf(out, "</svg>\n");
}
