#!/usr/bin/env bash
# Install what the tests' real components need (PostgreSQL, Chromium, Java 17), where this user may:
# by apt-get, as root or by sudo without a password. Each is installed on its own, so that one the
# distribution lacks costs no other. What is missing afterwards is named, with what to run; its tests
# are skipped, or fail where JINQIAO_REQUIRE_ALL=1. JINQIAO_SYSTEM_ROOT: look there, not in /.
set -u
root=${JINQIAO_SYSTEM_ROOT:-}

have() {
  case $1 in
    postgresql)
      ls "$root"/usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 ;;
    chromium)
      command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
        command -v google-chrome >/dev/null 2>&1 ;;
    java)
      local java
      for java in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} java "$root"/usr/lib/jvm/*/bin/java; do
        command -v "$java" >/dev/null 2>&1 && [ "$(java_major "$java")" -ge 17 ] 2>/dev/null && return 0
      done
      return 1 ;;
  esac
}
java_major() { "$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1; }

# The packages that hold a component, the first that the distribution has.
packages() {
  case $1 in
    postgresql) echo postgresql ;;
    chromium) echo chromium ;; # not chromium-browser: on Ubuntu that is a snap, which tests cannot drive
    java) echo openjdk-21-jre-headless openjdk-17-jre-headless default-jre-headless ;;
  esac
}

lacking() {
  local one
  for one in postgresql chromium java; do have "$one" || echo "$one"; done
}

missing=$(lacking)
[ -z "$missing" ] && exit 0

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }
may_install() { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }
apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get "$@" >/dev/null 2>&1; }

if command -v apt-get >/dev/null 2>&1 && may_install; then
  echo "installing:" $missing
  apt update -qq || echo "apt-get update failed; trying what is known already"
  for one in $missing; do
    for package in $(packages "$one"); do
      apt install -y -qq --no-install-recommends "$package" && have "$one" && break
    done
    [ "$one" = chromium ] && { apt install -y -qq --no-install-recommends fonts-noto-cjk || true; }
  done
  missing=$(lacking)
  [ -z "$missing" ] && exit 0
  echo "could not install:" $missing "(see: sudo apt-get install <package>)"
elif command -v apt-get >/dev/null 2>&1; then
  echo "no right to install; run: sudo apt-get install postgresql chromium fonts-noto-cjk openjdk-17-jre-headless"
elif command -v dnf >/dev/null 2>&1; then
  echo "run: sudo dnf install postgresql-server chromium google-noto-sans-cjk-fonts java-latest-openjdk-headless"
elif command -v brew >/dev/null 2>&1; then
  echo "run: brew install postgresql openjdk, and brew install --cask chromium"
fi
echo "left out: tests that need" $missing
exit 0
