// Asks Dawn for an adapter and prints its name; exit code 3 when there is none. A process of its own, because a
// driver that crashes must not take the set-up with it, and because a driver is looked for once per process.
import { create } from "webgpu";

const gpu = create([]);
const adapter = await gpu.requestAdapter();
const name = adapter && (adapter.info.description || adapter.info.vendor || "an unnamed adapter");
// Exit by itself would wait for Dawn.
process.stdout.write(name ?? "", () => process.exit(name ? 0 : 3));
