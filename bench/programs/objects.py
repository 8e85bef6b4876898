"""A python3 program that allocates: objects of all small sizes, and arrays beyond the thresholds of allocators.

    objects.py THOUSANDS        3000 take a second or so
"""

import sys


class Node:
    def __init__(self, key, left, right):
        self.key, self.left, self.right = key, left, right


def tree(depth):
    return Node(depth, tree(depth - 1), tree(depth - 1)) if depth else None


def count(node):
    return 1 + count(node.left) + count(node.right) if node else 0


total = 0
for turn in range(max(int(sys.argv[1]) // 100, 1)):
    total += count(tree(10))
    words = {f"word {i}": [i, str(i), (i, i + 1)] for i in range(6000)}
    total += sum(len(key) + value[0] for key, value in words.items())
    growing = []
    for i in range(30000):
        growing.append(i)
    text = "".join("%d," % number for number in growing)
    total += len(text.split(","))
    for size in (100_000, 1_500_000, 5_000_000, 40_000_000):
        block = bytearray(size // (1 if turn % 10 == 0 else 40))
        block[len(block) // 2] = 1
        total += block.count(1)
print(total)
