"""What `make test` installs by itself, and what it says where it may not: run under stubs."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "system-packages.sh"
TOOLS = ("bash", "env", "head", "ls", "sed")
JAVA = 'echo "openjdk version \\"{0}.0.1\\" 2026-01-01" >&2'
APT = """
PATH=/usr/bin:/bin
echo "apt-get $*" >> "{root}/log"
[ "$1" = update ] && exit {update}
package="${{@: -1}}"
case " {available} " in *" $package "*) ;; *) exit 100 ;; esac
put() {{ mkdir -p "$(dirname "$1")"; printf '#!/bin/bash\\n%s\\n' "$2" > "$1"; chmod +x "$1"; }}
case $package in
  postgresql) put "{root}/usr/lib/postgresql/17/bin/initdb" true ;;
  chromium) put "{root}/bin/chromium" true ;;
  openjdk-21-jre-headless) put "{root}/usr/lib/jvm/j/bin/java" '{java21}' ;;
  openjdk-17-jre-headless) put "{root}/usr/lib/jvm/j/bin/java" '{java17}' ;;
  default-jre-headless) put "{root}/usr/lib/jvm/j/bin/java" '{java11}' ;;
esac
"""
DEBIAN_13 = "postgresql chromium fonts-noto-cjk openjdk-21-jre-headless default-jre-headless"
DEBIAN_12 = "postgresql chromium fonts-noto-cjk openjdk-17-jre-headless default-jre-headless"
UBUNTU = "postgresql fonts-noto-cjk openjdk-17-jre-headless openjdk-21-jre-headless"
DEBIAN_11 = "postgresql chromium fonts-noto-cjk default-jre-headless"


@dataclass
class Machine:
    """A root folder whose ``bin`` is all of PATH: the tools needed, and stubs of the rest."""

    root: Path

    def put(self, name: str, body: str) -> None:
        path = self.root / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    def apt(self, available: str, update: int = 0) -> None:
        java = {f"java{version}": JAVA.format(version) for version in (21, 17, 11)}
        self.put("apt-get", APT.format(root=self.root, available=available, update=update, **java))

    def run(self, uid: int) -> str:
        self.put("id", f"echo {uid}")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.root / "bin" / tool).symlink_to(found)
        done = subprocess.run(
            [shutil.which("bash") or "bash", str(SCRIPT)],
            env={"PATH": str(self.root / "bin"), "JINQIAO_SYSTEM_ROOT": str(self.root)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def installed(self) -> list[str]:
        """Return the packages that were asked for, in order."""
        log = self.root / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.split()[-1] for line in lines if " install " in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("available", "java", "left"),
    [
        (DEBIAN_13, ["openjdk-21-jre-headless"], ""),
        (DEBIAN_12, ["openjdk-21-jre-headless", "openjdk-17-jre-headless"], ""),
        (UBUNTU, ["openjdk-21-jre-headless"], "chromium"),
        (DEBIAN_11, ["openjdk-21-jre-headless", "openjdk-17-jre-headless",
                     "default-jre-headless"], "java"),
    ],
    ids=["debian 13", "debian 12", "ubuntu", "debian 11"],
)  # fmt: skip
def test_root_installs_what_the_distribution_has(
    machine: Machine, available: str, java: list[str], left: str
) -> None:
    """Each component on its own: one that the distribution lacks is named and costs no other."""
    machine.apt(available)
    told = machine.run(0).splitlines()
    assert told[0] == "installing: postgresql chromium java"
    assert machine.installed() == ["postgresql", "chromium", "fonts-noto-cjk", *java]
    if left:
        assert told[1].startswith(f"could not install: {left} (")
        assert told[2] == f"left out: tests that need {left}"
    else:
        assert len(told) == 1


def test_sudo_without_a_password_installs(machine: Machine) -> None:
    """Another user installs by ``sudo -n``, and never waits for a password."""
    machine.apt(DEBIAN_13)
    machine.put("sudo", f'echo "sudo $*" >> "{machine.root}/log"\n[ "$1" = -n ] && shift\n"$@"')
    assert machine.run(1000) == "installing: postgresql chromium java\n"
    assert set(machine.installed()) == set(DEBIAN_13.split()) - {"default-jre-headless"}
    calls = [line for line in (machine.root / "log").read_text().splitlines() if "sudo" in line]
    assert calls
    assert all(line.startswith("sudo -n ") for line in calls)


@pytest.mark.parametrize("sudo", ["exit 1", None], ids=["sudo asks", "no sudo"])
def test_who_may_not_install_is_told_what_to_run(machine: Machine, sudo: str | None) -> None:
    """Without the right nothing is tried; the command is named, and what is left out."""
    machine.apt(DEBIAN_13)
    if sudo:
        machine.put("sudo", sudo)
    told = machine.run(1000).splitlines()
    assert told[0].startswith("no right to install; run: sudo apt-get install postgresql chromium")
    assert told[1] == "left out: tests that need postgresql chromium java"
    assert machine.installed() == []


@pytest.mark.parametrize(("manager", "run"), [("dnf", "run: sudo dnf"), ("brew", "run: brew")])
def test_fedora_and_macos_are_told_what_to_run(machine: Machine, manager: str, run: str) -> None:
    """Another package manager is not driven; its command is named."""
    machine.put(manager, f'echo driven >> "{machine.root}/log"')
    told = machine.run(0).splitlines()
    assert told[0].startswith(run)
    assert told[1] == "left out: tests that need postgresql chromium java"
    assert not (machine.root / "log").exists()


def test_no_package_manager_at_all(machine: Machine) -> None:
    """Where nothing can be installed, what is left out is all there is to say."""
    assert machine.run(0) == "left out: tests that need postgresql chromium java\n"


def test_no_network_is_said_and_fails_nothing(machine: Machine) -> None:
    """Lists that cannot be refreshed and packages that cannot be had leave tests out, no more."""
    machine.apt("", update=100)
    told = machine.run(0).splitlines()
    assert told[1].startswith("apt-get update failed")
    assert told[-1] == "left out: tests that need postgresql chromium java"


def test_what_is_there_is_left_alone(machine: Machine) -> None:
    """With all three there, nothing is installed and nothing is said; an old Java is not there."""
    machine.apt(DEBIAN_13)
    for name in ("initdb", "google-chrome"):
        machine.put(name, "exit 0")
    machine.put("java", JAVA.format(11))
    assert machine.run(0) == "installing: java\n"
    assert machine.installed() == ["openjdk-21-jre-headless"]
    for tool in TOOLS:
        (machine.root / "bin" / tool).unlink()
    assert machine.run(0) == ""
