/** The kernels' texts by path: part of the script, so that no page asks for a hundred files. The package's build has its own way. */
export const shaders: Readonly<Record<string, string>> = import.meta.glob<string>("../shaders/*.wgsl", {
  query: "?raw",
  import: "default",
  eager: true,
});
