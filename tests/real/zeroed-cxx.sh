#!/bin/sh
# C++: std::vector, resize, std::valarray, new T[n]() and std::make_unique<T[]> of 256 MiB, of which 1,000
# elements are written.
. "$LZ_SRCDIR/tests/real/zeroed-lib.sh"
need g++ g++

cat >"$work/zeroed.cc" <<'END'
#include <cstdio>
#include <cstring>
#include <memory>
#include <valarray>
#include <vector>

static const size_t n = size_t(256) << 20 >> 3;

template <typename Array> static int use(Array &a)
{
	unsigned long random = 88172645463325252ul;
	double sum = 0;

	for (size_t i = 0; i < 1000; i++) {
		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		a[random % n] += 1;
	}
	for (size_t i = 0; i < n; i += 131071)
		sum += a[i] + a[n - 1 - i];
	sum += a[random % n];
	printf("%g\n", sum);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "vector") == 0) {
		std::vector<double> a(n);
		return use(a);
	}
	if (argc == 2 && strcmp(argv[1], "resize") == 0) {
		std::vector<double> a;
		a.resize(n);
		return use(a);
	}
	if (argc == 2 && strcmp(argv[1], "valarray") == 0) {
		std::valarray<double> a(n);
		return use(a);
	}
	if (argc == 2 && strcmp(argv[1], "new") == 0) {
		std::unique_ptr<double[]> a(new double[n]());
		return use(a);
	}
	if (argc == 2 && strcmp(argv[1], "make_unique") == 0) {
		auto a = std::make_unique<double[]>(n);
		return use(a);
	}
	return 2;
}
END
g++ -std=c++17 -O2 -o "$work/zeroed" "$work/zeroed.cc" || { echo 'skipped: g++ does not work'; exit 77; }
zeroed 'std::vector<double>(n)' 8 ../zeroed vector
zeroed 'std::vector::resize(n)' 8 ../zeroed resize
zeroed 'std::valarray<double>(n)' 8 ../zeroed valarray
zeroed 'new double[n]()' 8 ../zeroed new
zeroed 'std::make_unique<double[]>(n)' 8 ../zeroed make_unique
exit $failed
