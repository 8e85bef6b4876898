#!/bin/sh
# Fortran: an array of 256 MiB that is allocated and set to 0, of which 1,000 elements are written.
. "$LZ_SRCDIR/tests/real/zeroed-lib.sh"
need gfortran gfortran

cat >"$work/zeroed.f90" <<'END'
! In a subroutine that is not inlined: gfortran makes one calloc of an allocation and the loop that clears it.
subroutine clear(a, n)
  integer :: n
  real(8) :: a(n)
  a = 0
end subroutine clear

program zeroed
  implicit none
  integer, parameter :: n = 2**25
  integer(8) :: place
  integer :: i
  real(8), allocatable :: a(:)
  allocate (a(n))
  call clear(a, n)
  place = 1
  do i = 1, 1000
    place = mod(place * 48271_8, 2147483647_8)
    a(mod(place, int(n, 8)) + 1) = a(mod(place, int(n, 8)) + 1) + i
  end do
  print *, sum(a(::131071)), a(mod(place, int(n, 8)) + 1)
end program zeroed
END
gfortran -O2 -fno-inline -o "$work/zeroed" "$work/zeroed.f90" || { echo 'skipped: gfortran does not work'; exit 77; }
zeroed 'Fortran a = 0' 8 ../zeroed
exit $failed
