/* Removes the kernel's escapes; see proc_text.h. */
#include "cli/process/proc_text.h"

#include <string.h>

void lz_proc_unescape_name(char *name)
{
	char *to = name;

	for (const char *at = name; *at != '\0'; at++) {
		if (at[0] == '\\' && (at[1] == 'n' || at[1] == '\\'))
			*to++ = *++at == 'n' ? '\n' : '\\';
		else
			*to++ = *at;
	}
	*to = '\0';
}

bool lz_proc_unescape_path(char *path)
{
	static const char newline[] = "\\012";
	bool found = false;

	for (char *at = path; (at = strstr(at, newline)) != NULL; found = true) {
		const char *rest = at + sizeof newline - 1;

		*at++ = '\n';
		memmove(at, rest, strlen(rest) + 1);
	}
	return found;
}
