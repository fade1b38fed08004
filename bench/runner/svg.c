/* SPDX-License-Identifier: MIT */
/*
 * The picture: for each row that both systems have, a bar of Linux and one of ExOS, instructions on a logarithmic scale,
 * and a line where ExOS would be if it were to Linux what the paper's ExOS was to Ultrix.
 */
#define _GNU_SOURCE
#include <math.h>
#include <string.h>

#include "runner.h"

#define LEFT    190.0
#define WIDTH   560.0
#define RIGHT   110.0
#define TOP     56.0
#define STEP    26.0
#define DECADES 10 /* from 1 to 10^10 instructions */

static double
x_of(double value)
{
	double decades = log10(value < 1 ? 1 : value);

	return LEFT + WIDTH * (decades > DECADES ? DECADES : decades) / DECADES;
}

static void
bar(FILE *out, double y, double height, const char *class, double value)
{
	fprintf(out, "<rect class=\"%s\" x=\"%.0f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
		class, LEFT, y, x_of(value) - LEFT, height);
}

static void
row_draw(FILE *out, size_t row, double y)
{
	const struct figure *linux_one = figure_linux(row, COUNT), *exos = figure_exos(row, COUNT);
	double ratio = figure_ratio(row, COUNT), paper = rows[row].paper;

	fprintf(out, "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", LEFT - 8,
		y + 14, rows[row].name);
	bar(out, y + 2, 9, "linux", linux_one->value);
	bar(out, y + 12, 9, "exos", exos->value);
	if (paper > 0) {
		double x = x_of(linux_one->value / paper);

		fprintf(out,
			"<line class=\"paper\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
			x, y, x, y + 23);
	}
	fprintf(out, "<text x=\"%.0f\" y=\"%.1f\">%.*f×", LEFT + WIDTH + 8, y + 14,
		ratio < 9.95 ? 1 : 0, ratio);
	if (paper > 0)
		fprintf(out, " <tspan class=\"quiet\">(paper %.*f)</tspan>", paper < 9.95 ? 1 : 0,
			paper);
	fprintf(out, "</text>\n");
}

static void
head(FILE *out, double height)
{
	fprintf(out,
		"<!-- SPDX-License-Identifier: MIT -->\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
		"font-family=\"sans-serif\" "
		"font-size=\"12\">\n<style>.linux{fill:#b9b4a9}.exos{fill:#2f6f9f}.paper{stroke:#"
		"c4522d;"
		"stroke-width:2}.grid{stroke:#ddd}.quiet{fill:#888}text{fill:#222}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		LEFT + WIDTH + RIGHT, height);
	fprintf(out, "<rect class=\"linux\" x=\"20\" y=\"12\" width=\"24\" height=\"9\"/><text "
		     "x=\"50\" y=\"21\">Linux, the "
		     "faster with or without mitigations</text>\n"
		     "<rect class=\"exos\" x=\"330\" y=\"12\" width=\"24\" height=\"9\"/><text "
		     "x=\"360\" "
		     "y=\"21\">ExOS</text>\n<line class=\"paper\" x1=\"430\" y1=\"8\" x2=\"430\" "
		     "y2=\"26\"/><text x=\"438\" "
		     "y=\"21\">ExOS with the paper's ratio to this Linux</text>\n");
}

void
svg_write(FILE *out)
{
	double y = TOP, height;
	size_t count = 0;

	for (size_t i = 0; i < row_count; i++)
		count += figure_ratio(i, COUNT) > 0;
	height = TOP + STEP * (double)count + 12;
	head(out, height);
	for (int i = 0; i <= DECADES; i++) {
		double x = LEFT + WIDTH * i / DECADES;

		fprintf(out,
			"<line class=\"grid\" x1=\"%.1f\" y1=\"%.0f\" x2=\"%.1f\" y2=\"%.0f\"/>"
			"<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\" "
			"class=\"quiet\">%s%s</text>\n",
			x, TOP - 6, x, height - 6, x, TOP - 12,
			(const char *[]){"1", "10", "100", "1k", "10k", "100k", "1M", "10M", "100M",
					 "1G", "10G"}[i],
			i == 0 ? " instruction" : "");
	}
	for (size_t i = 0; i < row_count; i++) {
		if (figure_ratio(i, COUNT) <= 0)
			continue;
		row_draw(out, i, y);
		y += STEP;
	}
	fprintf(out, "</svg>\n");
}
