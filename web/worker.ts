/// <reference lib="webworker" />
import { serve } from "./serve/call.ts";
import { engineHandlers } from "./serve/engine.ts";
import { modelHandlers } from "./serve/models.ts";

serve(self as unknown as DedicatedWorkerGlobalScope, { ...engineHandlers, ...modelHandlers });
