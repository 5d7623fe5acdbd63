import { python } from "../../fixtures/peers/programs.ts";

export { python };

if (!python)
  console.warn("No Python here has torch: comparisons with it are skipped (apt install python3-torch).");
