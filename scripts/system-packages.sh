#!/usr/bin/env bash
# Install what the tests' real components need (PostgreSQL, Chromium, Java), where this user may.
# Whatever is still missing afterwards is named; its tests are skipped, or fail where
# JINQIAO_REQUIRE_ALL=1.
set -u
missing=()
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || missing+=(postgresql)
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
  command -v google-chrome >/dev/null 2>&1 || missing+=(chromium)
java_major() { "$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1; }
for java in java /usr/lib/jvm/*/bin/java; do
  command -v "$java" >/dev/null 2>&1 && [ "$(java_major "$java")" -ge 17 ] 2>/dev/null && has_java=1 && break
done
[ "${has_java:-0}" = 1 ] || missing+=(default-jre-headless) # Spark runs on it
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
[ "$(id -u)" -ne 0 ] && sudo=(sudo -n)
if command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }; then
  echo "installing: ${missing[*]}"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      "${missing[@]}" fonts-noto-cjk >/dev/null ||
    echo "the package manager refused: ${missing[*]}; their tests are left out"
else
  echo "left out (no right to install): tests that need ${missing[*]}"
fi
exit 0
