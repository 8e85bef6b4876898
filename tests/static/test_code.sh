#!/bin/sh
# The code that hides features of the kernel (tests/facts) is only in the test build: the installed library and the command contain nothing of it.
hidden=$LZ_BUILDDIR/tests/facts/.libs/liblazyzero.so
status=0
grep -q LZ_HIDE_FACTS "$hidden" || { echo "$hidden does not contain the name of the variable: this test would find nothing"; exit 1; }
for file in "$LZ_LIBRARY" "$LZ_COMMAND"; do
  [ -f "$file" ] || { echo "no file $file"; exit 1; }
  ! grep -q -e LZ_HIDE_FACTS -e lz_hidden_call "$file" || { echo "$file contains code of the tests"; status=1; }
done
! grep -rn -e LZ_HIDE_FACTS -e lz_hidden_call "$LZ_SRCDIR/src" || { echo 'src/ refers to code of the tests'; status=1; }
exit $status
