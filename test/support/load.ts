import * as library from "../../src/model/load-model.ts";

/**
 * As the library loads models, but for the check of their kernels: tests load hundreds, and what they do not run need not be
 * compiled. test/model/check.test.ts is about the check.
 */
export const loadModel: typeof library.loadModel = (gpu, open, options = {}) =>
  library.loadModel(gpu, open, { check: false, ...options });

export const loadCheckpoint: typeof library.loadCheckpoint = (gpu, config, checkpoint, options = {}) =>
  library.loadCheckpoint(gpu, config, checkpoint, { check: false, ...options });
