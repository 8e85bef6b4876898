#!/bin/sh
# R: numeric(n) of 512 MiB, of which 1,000 elements are written; matrix(0, ...), which stores in a loop.
. "$LZ_SRCDIR/tests/real/zeroed-lib.sh"
need Rscript r-base-core

cat >"$work/numeric.R" <<'END'
n <- 2^26
a <- numeric(n)
set.seed(1)
places <- sample.int(n, 1000)
a[places] <- 1
cat(length(a), sum(a[places]), sum(a[seq(1, n, 131071)]), "\n")
END
cat >"$work/matrix.R" <<'END'
a <- matrix(0, 4096, 4096)
a[17, 42] <- 1
cat(dim(a), a[17, 42], a[42, 17], "\n")
END
zeroed 'numeric(n)' 4 Rscript --vanilla ../numeric.R
echo 'matrix(0, n, n) stores zeros in a loop, which no library sees: nothing is gained'
zeroed 'matrix(0, n, n)' 0 Rscript --vanilla ../matrix.R
exit $failed
