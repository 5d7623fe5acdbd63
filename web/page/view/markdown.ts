import DOMPurify, { type Config } from "dompurify";
import { Marked, type Token, type Tokens } from "marked";
import { t } from "../strings/strings.ts";
import { h, icon } from "../ui/dom.ts";

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (character) => escapes[character]!);

/** What a model says has no markup but Markdown's: its HTML is text, and its pictures are links, since they would be fetched. */
const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }: Tokens.HTML | Tokens.Tag) => escapeHtml(text),
    image: ({ href, text }: Tokens.Image) => `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`,
    checkbox: ({ checked }: Tokens.Checkbox) => (checked ? "☑ " : "☐ "),
  },
});

/** All that Markdown makes, and nothing else. The result is a fragment: no string of markup is given to the page. */
const ALLOWED: Config & { RETURN_DOM_FRAGMENT: true } = {
  ALLOWED_TAGS: [
    ..."p br hr strong em del code pre blockquote ul ol li a".split(" "),
    ..."h1 h2 h3 h4 h5 h6 table thead tbody tr th td".split(" "),
  ],
  ALLOWED_ATTR: ["href", "title", "start", "align", "class"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  RETURN_DOM_FRAGMENT: true,
};

/**
 * Markdown that grows: `update` makes again only the last blocks, and costs by the length of that tail and not of the
 * whole. What it shows is what the whole text would give.
 */
export class MarkdownView {
  readonly element = h("div", { class: "markdown" });
  /** Characters of the blocks that can no longer change, and their elements. */
  private settled = 0;
  private settledNodes = 0;
  private shown = "";

  /** @param text All of it so far; where it does not go on from what was shown, it is made anew. */
  update(text: string): void {
    if (text === this.shown) return;
    // A link's definition changes what stands before it.
    if (!text.startsWith(this.shown) || /^ {0,3}\[[^\]\n]+\]:/m.test(text)) {
      this.settled = 0;
      this.settledNodes = 0;
    }
    this.shown = text;
    while (this.element.childNodes.length > this.settledNodes) this.element.lastChild!.remove();
    const tokens = marked.lexer(text.slice(this.settled).replace(/\r\n?/g, "\n"));
    const over = tokens.slice(0, unchangeable(tokens));
    if (over.length > 0 && !text.includes("\r")) {
      this.append(over);
      this.settled += over.reduce((sum, { raw }) => sum + raw.length, 0);
      this.settledNodes = this.element.childNodes.length;
      this.append(tokens.slice(over.length));
    } else this.append(tokens);
  }

  private append(tokens: Token[]): void {
    const fragment = DOMPurify.sanitize(marked.parser(tokens), ALLOWED);
    for (const pre of fragment.querySelectorAll("pre")) pre.replaceWith(codeBlock(pre));
    for (const table of fragment.querySelectorAll("table")) {
      const around = h("div", { class: "table", tabindex: 0, role: "region", "aria-label": t().table });
      table.replaceWith(around);
      around.append(table);
    }
    for (const link of fragment.querySelectorAll("a")) {
      link.target = "_blank";
      link.rel = "noopener noreferrer";
    }
    // Text between blocks is line breaks, which would count as nodes.
    for (const node of [...fragment.childNodes]) if (node.nodeType === Node.TEXT_NODE) node.remove();
    this.element.append(fragment);
  }
}

function codeBlock(pre: HTMLPreElement): HTMLElement {
  const kind = pre.querySelector("code")?.className.replace(/^language-/, "") ?? "";
  pre.tabIndex = 0;
  const copy = h(
    "button",
    { type: "button", class: "copy-code", "data-copy": "code" },
    icon("copy"),
    h("span", {}, t().copy),
  );
  return h(
    "div",
    { class: "code" },
    h("div", { class: "code-head" }, h("span", {}, kind), copy),
    pre.cloneNode(true),
  );
}

/**
 * How many tokens stay as they are whatever follows: those before the last two blocks (a list takes up an item behind a
 * blank line, which begins as a paragraph "2"), up to a blank line.
 */
function unchangeable(tokens: readonly Token[]): number {
  let blocks = 0;
  for (let i = tokens.length - 1; i > 0; i--) {
    if (tokens[i]!.type !== "space") blocks++;
    if (blocks >= 2 && tokens[i]!.type !== "space" && tokens[i - 1]!.type === "space") return i;
  }
  return 0;
}
