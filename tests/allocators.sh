# Which other allocators there are, for the scripts that test beside them. Sourced.

# loads LIBRARY: whether the dynamic linker finds it under that name.
loads() {
  [ -z "$(LD_PRELOAD=$1 env true 2>&1)" ]
}

# The other allocators there are, one name a line; says which are missing.
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
