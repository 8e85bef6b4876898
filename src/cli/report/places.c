/* Finds places with elfutils; see places.h. */
#include "cli/report/places.h"

#include <dwarf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/common/array.h"
#include "cli/report/demangle.h"

#define INLINED_MAX 64u /* nested inlined functions */
#define DEPTH_MAX 200u  /* nested DIEs */

/* Appends a place; the name may be NULL. */
static void add_place(struct lz_report_address *address, const char *function, const char *file, int line)
{
	struct lz_report_place *places = lz_array_grow(address->places, address->place_count, sizeof *places);

	if (places == NULL)
		return;
	address->places = places;
	places[address->place_count++] =
		(struct lz_report_place){.function = function != NULL ? lz_demangle(function) : NULL,
			.file = file != NULL ? strdup(file) : NULL,
			.line = file != NULL ? line : 0};
}

static const char *name_of(Dwarf_Die *die)
{
	Dwarf_Attribute space;
	Dwarf_Attribute *attribute = dwarf_attr_integrate(die, DW_AT_linkage_name, &space);
	const char *name;

	if (attribute == NULL)
		attribute = dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &space);
	name = dwarf_formstring(attribute);
	return name != NULL ? name : dwarf_diename(die);
}

/* Where the inlined function of a DIE was called. */
static void find_call(Dwarf_Die *unit, Dwarf_Die *die, const char **file, int *line)
{
	Dwarf_Attribute attribute;
	Dwarf_Word number = 0;
	Dwarf_Files *files;
	size_t count;

	*file = NULL;
	*line = 0;
	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &number) == 0 &&
		dwarf_getsrcfiles(unit, &files, &count) == 0)
		*file = dwarf_filesrc(files, number, NULL, NULL);
	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &number) == 0)
		*line = (int)number;
}

/* The inlined functions at an address, outermost first, and the function that contains them. */
struct chain {
	Dwarf_Addr at;
	Dwarf_Die function, inlined[INLINED_MAX];
	unsigned count;
	bool found;
};

/* Whether functions may be below a DIE: Rust puts them into namespaces, which libdw's dwarf_getscopes passes
 * by. */
static bool may_hold_functions(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_module || tag == DW_TAG_structure_type ||
	       tag == DW_TAG_class_type || tag == DW_TAG_enumeration_type || tag == DW_TAG_union_type;
}

/* Descends to the innermost scope that contains the address. */
static void find_chain(struct chain *chain, Dwarf_Die *parent, unsigned depth)
{
	Dwarf_Die die;

	if (depth == DEPTH_MAX || dwarf_child(parent, &die) != 0)
		return;
	do {
		int tag = dwarf_tag(&die);

		if (may_hold_functions(tag)) {
			if (!chain->found)
				find_chain(chain, &die, depth + 1);
			continue;
		}
		if ((tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine &&
			    tag != DW_TAG_lexical_block && tag != DW_TAG_try_block &&
			    tag != DW_TAG_catch_block) ||
			dwarf_haspc(&die, chain->at) != 1)
			continue;
		if (tag == DW_TAG_subprogram) {
			chain->function = die;
			chain->found = true;
			chain->count = 0;
		} else if (tag == DW_TAG_inlined_subroutine && chain->count < INLINED_MAX) {
			chain->inlined[chain->count++] = die;
		}
		find_chain(chain, &die, depth + 1);
		return;
	} while (dwarf_siblingof(&die, &die) == 0);
}

/*
 * Appends the inlined functions. *file and *line are the place in the innermost, and become that in the
 * outermost function, whose name is stored in *function if it was unknown.
 */
static void add_inlined(struct lz_report_address *address, Dwarf_Die *unit, Dwarf_Addr at,
	const char **function, const char **file, int *line)
{
	struct chain chain = {.at = at};

	find_chain(&chain, unit, 0);
	for (unsigned i = chain.count; i-- > 0;) {
		add_place(address, name_of(&chain.inlined[i]), *file, *line);
		find_call(unit, &chain.inlined[i], file, line);
	}
	if (chain.found && *function == NULL)
		*function = name_of(&chain.function);
}

/* Rust and clang write no table of the units' addresses (.debug_aranges). */
static Dwarf_Die *find_unit(Dwfl_Module *module, Dwarf_Addr at, Dwarf_Addr *bias)
{
	Dwarf_Die *unit = dwfl_module_addrdie(module, at, bias);

	if (unit != NULL && dwarf_haspc(unit, at - *bias) == 1)
		return unit;
	unit = NULL;
	while ((unit = dwfl_module_nextcu(module, unit, bias)) != NULL && dwarf_haspc(unit, at - *bias) != 1)
		;
	return unit;
}

void lz_report_find_places(struct lz_report_address *address, Dwfl_Module *module, Dwarf_Addr at)
{
	const char *name = dwfl_module_addrname(module, at), *file = NULL;
	Dwfl_Line *source = dwfl_module_getsrc(module, at);
	Dwarf_Addr bias = 0;
	Dwarf_Die *unit = find_unit(module, at, &bias);
	int line = 0;

	if (source != NULL)
		file = dwfl_lineinfo(source, NULL, &line, NULL, NULL, NULL);
	if (unit != NULL && file != NULL)
		add_inlined(address, unit, at - bias, &name, &file, &line);
	if (name != NULL || file != NULL)
		add_place(address, name, file, line);
}
