#!/bin/sh
# git: creates, repacks, logs and compares a repository; clones this project's own, if it is one.
. "$LZ_SRCDIR/tests/real/lib.sh"
need git git
git -c safe.directory='*' clone -q --bare "$LZ_SRCDIR" "$work/origin.git" 2>/dev/null ||
  rm -rf "$work/origin.git"
lines=$(amount 300000 60000)
export lines
cat >"$work/body" <<'END'
export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE='1700000000 +0000'
export GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org GIT_COMMITTER_DATE='1700000000 +0000'
set -e
git init -q -b main made
cd made
git config pack.threads 2
for round in 1 2 3; do
  seq $round 3 200000 >numbers
  awk -v r=$round -v n=$lines 'BEGIN { for (i = 0; i < n; i++) print i * r % 7919, i % 101 }' >large
  head -c $((round * 3000000)) /dev/zero >zeros
  git add .
  git commit -q -m "round $round"
done
git log --stat -p | cksum
git diff HEAD~2 | cksum
git gc -q --aggressive
git fsck --full --no-progress
git rev-parse HEAD
git count-objects -v | sed -n 's/^in-pack/&/p'
git blame -s numbers | cksum
git archive HEAD | cksum
cd ..
if [ -d ../origin.git ]; then
  git clone -q ../origin.git cloned
  cd cloned
  git log -p --stat | cksum
  git gc -q
  git fsck --no-progress
  git rev-parse HEAD
  git ls-files | cksum
fi
END
three 90
was_preloaded
exit $failed
