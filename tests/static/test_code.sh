#!/bin/sh
# What hides features of the kernel from the library is in a library of the tests alone (tests/facts): nothing of it is
# in the one that is installed, nor in the command.
hidden=$LZ_BUILDDIR/tests/facts/.libs/liblazyzero.so
status=0
grep -q LZ_HIDE_FACTS "$hidden" || { echo "$hidden does not name the variable, so this looks for the wrong thing"; exit 1; }
for file in "$LZ_LIBRARY" "$LZ_COMMAND"; do
  [ -f "$file" ] || { echo "no file $file"; exit 1; }
  ! grep -q -e LZ_HIDE_FACTS -e lz_hidden_call "$file" || { echo "$file holds code of the tests"; status=1; }
done
! grep -rn -e LZ_HIDE_FACTS -e lz_hidden_call "$LZ_SRCDIR/src" || { echo 'src/ names what is of the tests'; status=1; }
exit $status
