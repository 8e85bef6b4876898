/* Makes the temporary directory; see run_files.h. */
#include "cli/report/run_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "cli/report/sites_file.h"
#include "support/options.h"

#define REPORT_VARIABLE LZ_OPTION_PREFIX "REPORT"

int lz_run_files_prepare(struct lz_run_files *files, const char *record)
{
	const char *temporary = getenv("TMPDIR"), *set = getenv(REPORT_VARIABLE);

	snprintf(files->directory, sizeof files->directory, "%s/lazyzero-report-XXXXXX",
		temporary != NULL && *temporary != '\0' ? temporary : "/tmp");
	if (mkdtemp(files->directory) == NULL)
		return lz_fail("cannot create the directory '%s': %s; set TMPDIR to another place",
			lz_printable(files->directory).text, strerror(errno));
	snprintf(files->report, sizeof files->report, "%s/report", files->directory);
	snprintf(files->record, sizeof files->record, "%s/record", files->directory);
	if (set != NULL && *set != '\0')
		snprintf(files->report, sizeof files->report, "%s", set);
	else if (setenv(REPORT_VARIABLE, files->report, 1) != 0)
		return lz_fail("cannot set the environment: %s", strerror(errno));
	if (record != NULL)
		snprintf(files->record, sizeof files->record, "%s", record);
	return 0;
}

void lz_run_files_remove(const struct lz_run_files *files)
{
	char path[PATH_MAX + 16];
	struct lz_sites_files left;

	snprintf(path, sizeof path, "%s/report", files->directory);
	lz_sites_files_map(&left, path);
	for (size_t i = 0; i < left.count; i++)
		unlink(left.path[i]);
	lz_sites_files_unmap(&left);
	unlink(path);
	snprintf(path, sizeof path, "%s/record", files->directory);
	unlink(path);
	rmdir(files->directory);
}
