# Finds other allocators, for scripts that test together with them. Sourced.

# loads LIBRARY: succeeds if the dynamic linker can preload a library of this name.
loads() {
  [ -z "$(LD_PRELOAD=$1 env true 2>&1)" ]
}

# find_allocators: prints the names of the installed allocators, one on each line, and reports missing ones.
find_allocators() {
  for names in libjemalloc.so.2 \
    'libmimalloc.so.3 libmimalloc.so.2 libmimalloc.so.2.0' libtcmalloc_minimal.so.4; do
    found=
    for name in $names; do
      if [ -z "$found" ] && loads "$name"; then found=$name; fi
    done
    if [ -n "$found" ]; then echo "$found"; else echo "not tested with $names: not installed" >&2; fi
  done
}
