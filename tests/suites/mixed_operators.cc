// Blocks made by this program's new and freed by a library's delete. Linked with -static-libstdc++, the program has
// an operator new of its own, and the library's delete is another allocator's where one is preloaded.
#include <cstdio>

void drop(char *block);
void drop(long *object);

int main()
{
	for (int i = 0; i < 3; i++) {
		char *block = new char[64 << 20];

		block[5] = 1;
		drop(block);
		drop(new long(i));
	}
	std::puts("done");
	return 0;
}
