"""GPUs for tests: a library that answers what a script says, and trees of files such as Linux's.

The script is read at each call, so that a test changes it at any time; see tests/fake/nvml.c."""

import os
import pathlib

import wharf_harness

GIB = 1 << 30
UUIDS = [f"GPU-{n}{n}{n}{n}1111-2222-3333-4444-555555555555" for n in range(1, 9)]
# Patience of a driver's, divided by this: 5 s for an answer, 30 s for the first, 1 s until another
# process is tried, 30 s until what is lost is looked for, 40 s until nobody waits any more.
HURRY = 25 / wharf_harness.SLOWNESS


class FakeGpus:
    def __init__(self, folder, count=1, total=24 * GIB, library="libnvidia-ml.so.1"):
        self.folder = pathlib.Path(folder) / "fake"
        self.root = self.folder / "root"
        self.script_path, self.log_path = self.folder / "script", self.folder / "readings"
        self.root.mkdir(parents=True)
        self.nvml_path = wharf_harness.BUILD / "tests" / "fake" / library
        self.values = {"driver": "580.95.05", "count": count}
        for i in range(count):
            self.values.update({
                f"{i}.uuid": UUIDS[i], f"{i}.name": "NVIDIA Fake", f"{i}.pci": f"00000000:0{i + 1}:00.0",
                f"{i}.total": total, f"{i}.free": total - GIB, f"{i}.reserved": GIB // 2})
        self.namespace()
        self.write()

    def namespace(self, number=4026531836):
        """Which pid namespace this is: the first one of the machine, unless said otherwise."""
        link = self.root / "proc/self/ns/pid"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(f"pid:[{number}]")
        if not (self.root / "proc/meminfo").exists():
            self.put("proc/meminfo", "MemTotal: 1000000 kB\nMemFree: 1 kB\nMemAvailable: 400000 kB\n")

    def put(self, path, text):
        """A file below the root of /proc and /sys."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def link(self, path, target):
        link = self.root / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def write(self):
        new = self.script_path.with_suffix(".new")
        new.write_text("".join(f"{k}={v}\n" for k, v in self.values.items()))
        new.replace(self.script_path)

    def set(self, **values):
        """set(_0_free=…) changes 0.free; None takes a line away."""
        for key, value in values.items():
            key = key[1:].replace("_", ".", 1) if key.startswith("_") else key
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value
        self.write()

    def use(self, gpu, uses, foreign=0, reserved=GIB // 2):
        """What processes have there: {pid: bytes}; and what nobody is seen to have."""
        for pid in uses:
            entry = self.root / f"proc/{pid}"
            if not entry.is_symlink():
                entry.symlink_to(f"/proc/{pid}")
        total = self.values[f"{gpu}.total"]
        self.values[f"{gpu}.compute"] = " ".join(f"{p}:{n}" for p, n in uses.items())
        self.values[f"{gpu}.free"] = total - reserved - sum(uses.values()) - foreign
        self.write()

    def readings(self):
        """When the first GPU's memory was asked for, in ms."""
        return [int(t) for t in self.log_path.read_text().split()] if self.log_path.exists() else []

    def env(self, **more):
        return {"WHARF_NVML": str(self.nvml_path), "WHARF_GPU_ROOT": str(self.root),
                "WHARF_FAKE_NVML": str(self.script_path), "WHARF_FAKE_NVML_LOG": str(self.log_path),
                "WHARF_GPU_HURRY": str(max(1, int(HURRY))), **more}


def descriptors(pid):
    return {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
