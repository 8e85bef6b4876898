#!/bin/sh
# stockfish searches the positions of its benchmark with a hash table of 1 GiB, which it clears before each game:
# the same number of nodes. It asks for huge pages in the table, which are then full; with LAZYZERO_THP=never
# only the pages that it writes are resident.
. "$LZ_SRCDIR/tests/real/zeroed-lib.sh"
PATH=$PATH:/usr/games
need stockfish stockfish

cat >"$work/bench.sh" <<'END'
stockfish bench 1024 1 5 default depth 2>&1 | grep '^Nodes searched'
END
zeroed 'stockfish, huge pages as it asks' 0 sh ../bench.sh
LAZYZERO_THP=never
export LAZYZERO_THP
zeroed 'stockfish, LAZYZERO_THP=never' 2 sh ../bench.sh
exit $failed
