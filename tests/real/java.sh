#!/bin/sh
# java: compiles and runs a program with arrays of 512 MB, threads and two garbage collectors.
. "$LZ_SRCDIR/tests/real/lib.sh"
need java default-jre-headless
need javac default-jdk-headless
cat >"$work/Demo.java" <<'END'
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.zip.CRC32;

public class Demo {
	static long sum;

	public static void main(String[] arguments) throws Exception {
		int[] numbers = new int[Integer.parseInt(arguments[0])];
		for (int i = 0; i < numbers.length; i += 997)
			numbers[i] = i;
		ByteBuffer direct = ByteBuffer.allocateDirect(100_000_000);
		direct.put(99_999_999, (byte) 7);
		CRC32 crc = new CRC32();
		crc.update(direct);
		Thread[] threads = new Thread[4];
		for (int t = 0; t < threads.length; t++) {
			int seed = t;
			threads[t] = new Thread(() -> {
				HashMap<Integer, String> map = new HashMap<>();
				for (int i = 0; i < 200_000; i++)
					map.put(i * 31 + seed, "value" + i);
				synchronized (Demo.class) {
					sum += map.size();
				}
			});
			threads[t].start();
		}
		for (Thread thread : threads)
			thread.join();
		long total = 0;
		for (int n : numbers)
			total += n;
		System.out.println(total + " " + sum + " " + crc.getValue());
	}
}
END
numbers=$(amount 64000000 16000000)
export numbers
cat >"$work/body" <<'END'
set -e
javac -d . ../Demo.java
cksum Demo.class
java -Xshare:auto -XX:+UseSerialGC -Xmx600m Demo $numbers
java -XX:+UseG1GC -Xmx1g Demo $numbers
END
three 90
was_preloaded
exit $failed
