/** The text of the worker, where a page is bundled in a way that leaves its file behind: the package's build puts it here. */
const text: string = "";
export default text;
