/* The functions, files and lines of a code address, in the symbol table and debug information of its module.
 */
#ifndef LZ_CLI_REPORT_PLACES_H
#define LZ_CLI_REPORT_PLACES_H

#include <elfutils/libdwfl.h>

#include "cli/report/model.h"

/*
 * Sets the places of an address: as `addr2line -i` does, first the functions that were inlined there. `at` is
 * the address in the instruction.
 */
void lz_report_find_places(struct lz_report_address *address, Dwfl_Module *module, Dwarf_Addr at);

#endif
