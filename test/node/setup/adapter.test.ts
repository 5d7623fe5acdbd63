import { expect, test } from "vitest";
import { adviceFor } from "../../../node/setup/adapter.mjs";

test.each([
  ["darwin", false, "Metal"],
  ["win32", false, "Direct3D 12 or Vulkan"],
  ["linux", true, "mesa-vulkan-drivers libvulkan1"],
  ["linux", false, "lavapipe"],
])("without an adapter, %s (apt: %s) is told about %s, in one sentence", (platform, apt, hint) => {
  const advice = adviceFor(platform, apt, "no driver answers");
  expect(advice).toContain(hint);
  expect(advice).toMatch(/^No WebGPU adapter was found \(no driver answers\); [^\n]*\.$/);
});
