#!/bin/sh
# Rust: Vec::resize, and alloc_zeroed of an alignment that calloc does not give, of 256 MiB, of which 1,000
# elements are written.
. "$LZ_SRCDIR/tests/real/zeroed-lib.sh"
need rustc rustc

cat >"$work/zeroed.rs" <<'END'
use std::alloc::{alloc_zeroed, Layout};

const N: usize = (256 << 20) / 8;

fn use_it(a: &mut [u64]) {
    let mut random: u64 = 88172645463325252;
    for _ in 0..1000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        a[random as usize % N] += 1;
    }
    println!("{}", a.iter().step_by(131071).sum::<u64>() + a[random as usize % N]);
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("resize") => {
            let mut a: Vec<u64> = Vec::new();
            a.resize(N, 0);
            use_it(&mut a);
        }
        Some("alloc_zeroed") => {
            let layout = Layout::from_size_align(N * 8, 4096).unwrap();
            use_it(unsafe { std::slice::from_raw_parts_mut(alloc_zeroed(layout) as *mut u64, N) });
        }
        _ => std::process::exit(2),
    }
}
END
rustc -O -o "$work/zeroed" "$work/zeroed.rs" || { echo 'skipped: rustc does not work'; exit 77; }
zeroed 'Vec::resize(n, 0)' 8 ../zeroed resize
zeroed 'alloc_zeroed, aligned' 8 ../zeroed alloc_zeroed
exit $failed
