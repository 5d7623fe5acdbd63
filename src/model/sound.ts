import type { Gpu } from "../gpu/device.ts";
import { wayLabel } from "../kernels/way.ts";
import { type Checked, checkPasses, describeError, isWrong } from "./check/check.ts";
import type { Config } from "./config.ts";
import type { Storage } from "./memory.ts";
import {
  allocateParts,
  chooseAgain,
  destroyParts,
  type Parts,
  type Passes,
  recordPasses,
  type Wanted,
} from "./passes.ts";

interface PassOptions extends Storage, Wanted {
  readonly tokenCount: number;
  /** Whether the kernels are held to known results first. */
  readonly check: boolean;
}

/** A model's parts, its weights still empty, and its passes of kernels that give right results as far as was checked. */
interface SoundParts {
  readonly parts: Parts;
  readonly passes: Passes;
  /** What was checked: those that were wrong too, of which the passes have none. */
  readonly checked: readonly Checked[];
}

/**
 * Allocates a model and records its passes. Where a way of a kernel gives wrong results, the next one that there is takes
 * its place, which is checked in its turn; nobody takes a wrong one again on this device.
 * @throws DeviceError where a kernel has no way that is right, saying how far off it is.
 */
export async function soundParts(gpu: Gpu, config: Config, options: PassOptions): Promise<SoundParts> {
  const { tokenCount } = options;
  let parts = await allocateParts(gpu, config, options, options);
  const checked: Checked[] = [];
  const known = new Set<string>();
  try {
    for (;;) {
      const passes = await recordPasses(gpu, config, parts, tokenCount);
      const found = options.check ? await checkPasses(gpu, config, parts.state, passes, known) : [];
      checked.push(...found);
      const wrong = found.filter(isWrong);
      if (wrong.length === 0) return { parts, passes, checked };
      for (const one of wrong) gpu.wrong.set(wayLabel(one.kernel, one.way), describeError(one));
      passes.destroy();
      parts = await chooseAgain(gpu, config, parts, options);
    }
  } catch (error) {
    destroyParts(parts);
    throw error;
  }
}
