#!/bin/sh
# A Go program with cgo: Go's runtime maps its memory by its own system calls, C's malloc is lazyzero's, and
# many threads pass pointers between the two.
. "$LZ_SRCDIR/tests/suites/lib.sh"
need go golang-go
mkdir "$work/go"
cat >"$work/go/main.go" <<'END'
package main

/*
#include <stdlib.h>
#include <string.h>

static unsigned long sum(const unsigned char *p, size_t n)
{
	unsigned long s = 0;
	for (size_t i = 0; i < n; i += 509)
		s += p[i];
	return s;
}
*/
import "C"

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sync"
	"unsafe"
)

const size = 50 << 20

func c(seed int) uint64 {
	zeros := C.calloc(1, size)
	block := C.malloc(size)
	if zeros == nil || block == nil {
		panic("no memory")
	}
	total := uint64(C.sum((*C.uchar)(zeros), size))
	if total != 0 {
		panic("not zero")
	}
	bytes := unsafe.Slice((*byte)(block), size)
	for i := 0; i < size; i += 509 {
		bytes[i] = byte(i*seed + 1)
	}
	block = C.realloc(block, 2*size)
	total += uint64(C.sum((*C.uchar)(block), size))
	C.free(block)
	C.free(zeros)
	return total
}

func main() {
	if len(os.Args) > 1 {
		fmt.Println("child", c(9))
		return
	}
	var wait sync.WaitGroup
	sums := make([]uint64, 16)
	for i := range sums {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			large := make([]uint64, 4<<20)
			for j := 0; j < len(large); j += 1000 {
				large[j] = uint64(i)
			}
			runtime.GC()
			sums[i] = c(i) + large[3000]
		}(i)
	}
	wait.Wait()
	debug.FreeOSMemory()
	fmt.Println(sums)
	output, err := exec.Command("/proc/self/exe", "child").CombinedOutput()
	fmt.Print(string(output), err, "\n")
}
END
(cd "$work/go" && export HOME="$work" GOFLAGS=-mod=mod GO111MODULE=off GOCACHE="$work/cache" CGO_ENABLED=1 && go build -o program main.go) \
  >"$work/build.log" 2>&1 || { echo "skipped: go cannot build with cgo ($(head -n 1 "$work/build.log"))"; exit 77; }
echo 'exec ../go/program' >"$work/body"
for way in bare default window; do run_way $way 120 sh "$work/body"; done
ended_well
compare default
compare window
was_preloaded
exit $failed
