// Large blocks of every operator new, passed to every operator delete that may free them, and growing containers.
// Blocks of malloc are passed to free, as C++ code does that hands buffers to C. Prints one line.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

static const std::size_t sizes[] = {1, 100, 5000, 3 << 20, 40 << 20, (70 << 20) + 123};
static unsigned long long sum;

static void *used(void *block, std::size_t size)
{
	unsigned char *p = static_cast<unsigned char *>(block);

	for (std::size_t at = 0; at < size; at += 65536)
		p[at] = static_cast<unsigned char>(1 + at / 65536);
	p[size - 1] = 7;
	sum += p[0] + p[size - 1];
	return block;
}

struct alignas(128) Wide {
	unsigned char bytes[48 << 20];
};

struct Large {
	unsigned char bytes[48 << 20];
	~Large() { sum += bytes[sizeof bytes - 1]; }
};

static void operators(std::size_t size)
{
	const std::align_val_t page{4096}, line{64};

	::operator delete(used(::operator new(size), size));
	::operator delete(used(::operator new(size), size), size);
	::operator delete[](used(::operator new[](size), size));
	::operator delete[](used(::operator new[](size), size), size);
	::operator delete(used(::operator new(size, line), size), line);
	::operator delete(used(::operator new(size, page), size), size, page);
	::operator delete[](used(::operator new[](size, page), size), page);
	::operator delete[](used(::operator new[](size, line), size), size, line);
	::operator delete(used(::operator new(size, std::nothrow), size), std::nothrow);
	::operator delete[](used(::operator new[](size, page, std::nothrow), size), page, std::nothrow);
	std::free(used(std::malloc(size), size));
}

static void objects()
{
	/* Not by make_unique, which fills them. */
	std::unique_ptr<Large> large(new Large);
	std::unique_ptr<Large[]> array(new Large[2]);
	std::unique_ptr<Wide> wide(new Wide);
	std::vector<unsigned> numbers;
	std::string text;
	std::map<int, std::vector<char>> map;

	large->bytes[sizeof large->bytes - 1] = 3;
	array[0].bytes[sizeof large->bytes - 1] = array[1].bytes[sizeof large->bytes - 1] = 4;
	sum += reinterpret_cast<std::size_t>(wide.get()) % 128;
	for (unsigned i = 0; i < 9000000; i++)
		numbers.push_back(i);
	for (unsigned i = 0; i < 9000000; i += 4096)
		sum += numbers[i];
	numbers.shrink_to_fit();
	for (int i = 0; i < 40; i++)
		text += std::string(1 << 20, static_cast<char>('a' + i % 26));
	sum += text.size() + static_cast<unsigned char>(text[20 << 20]);
	for (int i = 0; i < 8; i++)
		map[i % 2].resize(static_cast<std::size_t>(i) << 22);
	/* Allocated here, freed in another thread. */
	std::thread([v = std::vector<char>(40 << 20, 'v')]() mutable { v.clear(); v.shrink_to_fit(); }).join();
}

int main()
{
	try {
		for (std::size_t size : sizes)
			operators(size);
		objects();
		std::printf("sum %llu\n", sum);
		std::fflush(stdout);
		/* An impossible size: an exception, or, if the operators are written in C, their abort. */
		void *volatile none = ::operator new(static_cast<std::size_t>(-1) / 2 - 4096);
		(void)none;
		std::puts("no exception");
		return 1;
	} catch (const std::bad_alloc &) {
		std::puts("an exception");
	}
	return 0;
}
