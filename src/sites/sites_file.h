/*
 * The file in which the table of call sites survives the process (report.h): whatever ends it, a signal, the
 * out-of-memory killer, _exit or exec, another process can read what the table held.
 *
 * The file is mapped over the table and allocated in full before that, so that a full disk is an error here
 * and not a SIGBUS later. It takes LZ_SITES_FILE_BYTES, nothing of which is written before it is used. A
 * process removes its file after it wrote its report at exit. A forked child starts with a table of its own.
 *
 * Functions need the lock of the books; no other thread may use the table meanwhile.
 */
#ifndef LZ_SITES_SITES_FILE_H
#define LZ_SITES_SITES_FILE_H

#include "base/text.h"
#include "os/os.h"
#include "sites/sites.h"

#define LZ_SITES_FILE_MAGIC UINT32_C(0x535a4c0a)
#define LZ_SITES_FILE_VERSION 1u
#define LZ_SITES_FILE_SUFFIX ".sites"
#define LZ_SITES_FILE_BYTES ((sizeof(struct lz_site_table) + 65535) & ~(size_t)65535)

/* Maps zeroed private memory for a table. Returns the address, or -errno. */
intptr_t lz_sites_table_create(const struct lz_os *os);

/*
 * Creates the file with access for its owner only, and maps it over the table, which is zeroed then. `path`
 * is the name without suffix, and is completed; a file that an earlier program of this process left is not
 * replaced. Returns 0, or -errno; then the table is as before.
 */
int lz_sites_file_create(const struct lz_os *os, struct lz_site_table *table, struct lz_text *path);

/* Maps zeroed private memory over the table. Returns 0 or -errno. */
int lz_sites_file_detach(const struct lz_os *os, struct lz_site_table *table);

void lz_sites_file_remove(const struct lz_os *os, const char *path);

#endif
