/* JSON values; see json.h. */
#include "cli/common/json.h"

#include <sys/wait.h>

#include "cli/common/display.h"
#include "cli/common/messages.h"

json_t *lz_json_number(uint64_t value)
{
	return value > INT64_MAX ? json_null() : json_integer((json_int_t)value);
}

json_t *lz_json_string(const char *text)
{
	json_t *value = text != NULL ? json_string(text) : json_null();

	return value != NULL ? value : json_string(lz_printable(text).text);
}

json_t *lz_json_versioned(json_t *object)
{
	json_t *versioned = json_object();

	json_object_set_new(versioned, "format_version", json_integer(LZ_JSON_FORMAT_VERSION));
	if (json_object_update(versioned, object) != 0) {
		json_decref(versioned);
		return object;
	}
	json_decref(object);
	return versioned;
}

int lz_json_print(json_t *object)
{
	json_t *value = lz_json_versioned(object);
	int error = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));

	putchar('\n');
	json_decref(value);
	/* main reports write errors when it closes standard output. */
	return error && !ferror(stdout) ? lz_fail_memory() : 0;
}

json_t *lz_json_exit_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? json_null() : json_integer(WEXITSTATUS(wait_status));
}

json_t *lz_json_signal(int wait_status)
{
	return WIFSIGNALED(wait_status) ? json_integer(WTERMSIG(wait_status)) : json_null();
}
