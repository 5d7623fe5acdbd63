import { spawnSync } from "node:child_process";

/** A Python that has PyTorch. Debian's belongs to its own Python, which need not come first in the path. */
export const python = [process.env.PYTHON ?? "python3", "/usr/bin/python3"].find(
  (name) => spawnSync(name, ["-c", "import torch"]).status === 0,
);
if (!python)
  console.warn("No Python here has torch: comparisons with it are skipped (apt install python3-torch).");
