/* Finds the width of the table; see width.h. */
#include "cli/report/width.h"

#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"

#define WIDTH_MIN 80
#define WIDTH_MAX 10000

int lz_report_find_width(size_t *width, const char *given)
{
	uint64_t columns;
	struct winsize terminal;

	*width = SIZE_MAX;
	if (given != NULL) {
		if (lz_parse_u64(given, &columns) != 0 || columns < WIDTH_MIN || columns > WIDTH_MAX)
			return lz_fail_usage("report", "--width: \"%s\" is not accepted: it takes %s",
				lz_printable(given).text, LZ_REPORT_WIDTH_ACCEPTED);
		*width = columns;
	} else if (isatty(STDOUT_FILENO)) {
		*width = WIDTH_MIN;
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &terminal) == 0 && terminal.ws_col > WIDTH_MIN)
			*width = terminal.ws_col;
	}
	return 0;
}
