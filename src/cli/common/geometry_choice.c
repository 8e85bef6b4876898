/* Finds a geometry by name; see geometry_choice.h. */
#include "cli/common/geometry_choice.h"

#include "base/checked.h"
#include "base/parse.h"
#include "cli/common/display.h"
#include "cli/common/messages.h"
#include "os/os.h"

const struct lz_geometry *lz_geometry_choose(const char *name)
{
	const struct lz_geometry *geometry =
		name != NULL ? lz_geometry_by_name(name) : lz_geometry_probe(&lz_os_linux);
	const char *names[64];
	int nearest;

	if (geometry != NULL)
		return geometry;
	for (size_t i = 0; i < lz_geometry_count && i < 64; i++)
		names[i] = lz_geometry_table[i].name;
	nearest = lz_nearest_name(name, names, lz_min_u64(lz_geometry_count, 64));
	if (nearest >= 0)
		lz_fail("unknown geometry '%s'; did you mean '%s'?", lz_printable(name).text, names[nearest]);
	else
		lz_fail("unknown geometry '%s'; 'lazyzero cost --list' shows those known",
			lz_printable(name).text);
	return NULL;
}
