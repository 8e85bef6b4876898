# The program's own mappings, and memory that changes hands, in a report.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

[ -n "$LZ_LIBRARY" ] || { echo "skipped: no library"; exit 77; }
command -v "${LZ_PYTHON3:-python3}" > /dev/null || { echo "skipped: no python3"; exit 77; }
compile maps -g <<'END' || exit 77
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>
#define M ((size_t)1 << 20)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#define MADE_BY __attribute__((noinline)) static char *
MADE_BY cut(void) { return mmap(0, 200 * M, 3, ANONYMOUS, -1, 0); }
MADE_BY grown(void) { return mmap(0, 150 * M, 3, ANONYMOUS, -1, 0); }
MADE_BY shared(void) { return mmap(0, 100 * M, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0); }
MADE_BY reserved(void) { return mmap(0, 1000 * M, 0, ANONYMOUS | MAP_NORESERVE, -1, 0); }
MADE_BY segment(int id) { return shmat(id, 0, 0); }
MADE_BY covered(void) { return mmap(0, 60 * M, 3, ANONYMOUS, -1, 0); }
MADE_BY full(void) { return calloc(1, 64 * M); }
MADE_BY again(void) { return calloc(1, 64 * M); }
int main(void)
{
	int id = shmget(IPC_PRIVATE, 64 * M, 0600);
	char *p = cut();
	memset(p, 1, 50 * M);
	munmap(p + 150 * M, 50 * M);
	munmap(p + 40 * M, 5 * M);
	p = grown();
	memset(p, 1, 10 * M);
	p = mremap(p, 150 * M, 400 * M, MREMAP_MAYMOVE);
	p[300 * M] = 1;
	memset(shared(), 1, 25 * M);
	p = reserved();
	for (size_t at = 0; at < 400 * M; at += 40 * M) {
		mmap(p + at, 40 * M, 3, MAP_FIXED | ANONYMOUS, -1, 0);
		memset(p + at, 1, 10 * M);
	}
	p = segment(id);
	shmctl(id, IPC_RMID, 0);
	memset(p, 1, 8 * M);
	shmdt(p);
	p = covered();
	memset(p, 1, 4 * M);
	mmap(p, 60 * M, 3, MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* Memory that changes hands: what its former owner wrote is not the next one's. */
	for (int i = 0; i < 20; i++) {
		p = full();
		memset(p, 1, 64 * M);
		free(p);
		p = again();
		p[5 * M] = 1;
		free(p);
	}
	/* Not by a call that passes the library. */
	p = (char *)syscall(SYS_mmap, 0, 300 * M, 3, ANONYMOUS, -1, 0L);
	memset(p, 1, 5 * M);
	return 0;
}
END
for settings in LAZYZERO_BACKING=zeropage LAZYZERO_BACKING=window; do
	export "$settings"
	run report --library="$LZ_LIBRARY" --json -- "$work/maps"
	expect "status, $settings" 0 "$status"
	"${LZ_PYTHON3:-python3}" - "$work/out" "$settings" <<'END' || { fail "figures, $settings"; cat "$work/err"; }
import json, sys
M = 1 << 20
sites = {s["function"]: s for s in json.load(open(sys.argv[1]))["sites"]}
def check(function, call, made, peak, written, bytes, slack=0):
    site = sites[function]
    found = site["call"], site["regions_made"], site["bytes_peak"] // M, site["bytes"] // M
    assert found == (call, made, peak, bytes), (function, found)
    assert written * M <= site["written"] <= (written + slack) * M, (function, site["written"] / M)
check("cut", "mmap", 1, 200, 50, 200)
check("grown", "mmap", 1, 400, 10, 400, 2)
check("shared", "mmap", 1, 100, 25, 100)
check("reserved", "mmap", 1, 1000, 100, 1000)
check("segment", "shmat", 1, 64, 8, 64)
check("full", "calloc", 20, 64, 20 * 64, 20 * 64)
check("again", "calloc", 20, 64, 0, 20 * 64, 1)
assert sites["covered"]["written"] == 4 * M, sites["covered"]
END
done
finish
