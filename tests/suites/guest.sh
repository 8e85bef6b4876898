# `stat --cgroup` on a kernel with control groups of version 2, in a QEMU guest: the sum of VmPTE beside what the kernel
# charges. Needs qemu-system-x86_64, a static busybox, and a readable kernel: $LZ_GUEST_KERNEL, or the newest in /boot.
. "${LZ_SRCDIR:-.}/tests/cli/lib.sh"

skip()
{
	echo "skipped: $*"
	exit 77
}

kernel=${LZ_GUEST_KERNEL:-$(find /boot -name 'vmlinuz-*' 2> /dev/null | sort -V | tail -n 1)}
[ "$(uname -m)" = x86_64 ] || skip "the guest is of x86-64"
command -v qemu-system-x86_64 > /dev/null || skip "no qemu-system-x86_64 (package qemu-system-x86)"
[ -r "$kernel" ] || skip "no kernel for the guest (package linux-image-amd64, or LZ_GUEST_KERNEL=FILE)"
busybox=$(command -v busybox) && ! ldd "$busybox" > /dev/null 2>&1 || skip "no static busybox (package busybox-static)"

# Reads 4 GiB of zeros, which takes no memory but 8 MiB of page tables, and waits.
compile reader -static <<'END' || skip "no static program"
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void)
{
	size_t size = (size_t)4 << 30;
	volatile char *zeros = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (zeros == MAP_FAILED)
		return 1;
	madvise((void *)zeros, size, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < size; at += 4096)
		(void)zeros[at];
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
END

guest=$work/guest
mkdir -p "$guest/bin" "$guest/proc" "$guest/sys/fs/cgroup" "$guest/dev"
cp "$busybox" "$guest/bin/busybox"
cp "$work/reader" "$LZ_COMMAND" "$guest/bin"
ldd "$LZ_COMMAND" | grep -o '/[^ ]*' | while read -r library; do
	mkdir -p "$guest${library%/*}"
	cp -L "$library" "$guest$library"
done
cat > "$guest/init" <<'END'
#!/bin/busybox sh
set -e
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mount -t cgroup2 none /sys/fs/cgroup
cd /sys/fs/cgroup
echo +memory > cgroup.subtree_control
mkdir zeros small
echo 268435456 > zeros/memory.max
sh -c 'echo 0 > zeros/cgroup.procs; exec reader' > /ready &
sh -c 'echo 0 > small/cgroup.procs; exec sleep 1000' &
until grep -q ready /ready; do sleep 0.1; done
printf "\nBEGIN\n"
lazyzero stat --cgroup
lazyzero stat --cgroup -b -n
lazyzero metrics --cgroup | grep cgroup_.*{
grep pagetables zeros/memory.stat
grep VmPTE "/proc/$(cat zeros/cgroup.procs)/status"
echo END
poweroff -f
END
chmod 755 "$guest/init"
(cd "$guest" && find . | busybox cpio -o -H newc) > "$work/initramfs" 2> /dev/null
# Emulated: KVM within a virtual machine may stop at an instruction that it cannot emulate.
timeout 120 qemu-system-x86_64 -accel tcg -m 512 -nodefaults -nographic -no-reboot -serial stdio \
	-kernel "$kernel" -initrd "$work/initramfs" -append 'console=ttyS0 quiet panic=-1' < /dev/null 2> "$work/err" |
	tr -d '\r' > "$work/console"
sed -n '/^BEGIN$/,/^END$/p' "$work/console" > "$work/out"
[ -s "$work/out" ] || { tail -n 20 "$work/console" "$work/err"; fail "the guest"; finish; }
cat "$work/out"
expect "no line of the table is longer than 80 columns" "" "$(sed -n '/^Page/,/^PROCS/p' "$work/out" | grep -E '.{81}')"

# What the kernel charges is exact to some pages; newer kernels include the top level, which VmPTE does not count.
awk '$NF == "/zeros" && $2 > 8000000 { found = $1 == 1 && $3 >= $2 - 262144 && $3 <= $2 + 262144 && $4 == 0 && $6 == 268435456 }
	END { exit !found }' "$work/out" || fail "the sum of VmPTE and the page tables that the kernel charges to the group"
expect_match "the same in metrics" '^lazyzero_cgroup_charged_page_tables_bytes{cgroup="/zeros"} 8[0-9]*$' "$work/out"
expect_match "a small group" '^ *1 [0-9]* [0-9]* 0 [0-9]* 18446744073709551615 /small$\|^ .* max /small$' "$work/out"

finish
