import type { Gpu } from "../gpu/device.ts";
import { Inspector } from "./check/check.ts";
import type { Config } from "./config.ts";
import type { Storage } from "./memory.ts";
import {
  allocateParts,
  chooseAgain,
  destroyParts,
  type FewPass,
  type Parts,
  type Pass,
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
  /** Has what was checked: those that were wrong too, of which the passes have none. */
  readonly inspector: Inspector | undefined;
}

/**
 * Allocates a model and records its passes. Where a way of a kernel gives wrong results, the next one that there is takes
 * its place, which is checked in its turn; nobody takes a wrong one again on this device.
 * @throws DeviceError where a kernel has no way that is right, saying how far off it is.
 */
export async function soundParts(gpu: Gpu, config: Config, options: PassOptions): Promise<SoundParts> {
  const { tokenCount } = options;
  let parts = await allocateParts(gpu, config, options, options);
  const inspector = options.check ? new Inspector(gpu, config, parts.state) : undefined;
  const holds = inspector && ((few: FewPass, one: Pass) => inspector.fewHold(few, one));
  try {
    for (;;) {
      const passes = await recordPasses(gpu, config, parts, tokenCount, holds);
      if (!inspector || (await inspector.passesHold(passes))) return { parts, passes, inspector };
      passes.destroy();
      parts = await chooseAgain(gpu, config, parts, options);
    }
  } catch (error) {
    destroyParts(parts);
    throw error;
  }
}
