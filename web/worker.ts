/// <reference lib="webworker" />
import { servePacking } from "./convert/pack.ts";
import { PACKING } from "./convert/start.ts";
import { serve } from "./serve/call.ts";
import { engineHandlers } from "./serve/engine.ts";
import { modelHandlers } from "./serve/models.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;
// A conversion starts more of this script, which is then the packing worker's.
if (scope.name === PACKING) servePacking();
else serve(scope, { ...engineHandlers, ...modelHandlers });
