/* Starts programs; see launch.h. */
#include "cli/launch/launch.h"

#include <string.h>

#include "cli/common/arguments.h"
#include "cli/common/messages.h"

int lz_launch_set_environment(const struct lz_arguments *arguments, const struct lz_library *library)
{
	int error = lz_arguments_set_variables(arguments);

	if (!error && library != NULL)
		error = lz_library_preload(library);
	return error ? lz_fail("cannot set the environment: %s", strerror(-error)) : 0;
}

int lz_launch_run(char *const argv[], const struct lz_child_monitor *monitor, struct lz_child_result *result)
{
	int error = lz_child_run(argv, monitor, result);

	if (error)
		return lz_fail("cannot start a process: %s", strerror(-error));
	return result->exec_error != 0 ? lz_child_exec_failure(argv[0], result->exec_error) : 0;
}
