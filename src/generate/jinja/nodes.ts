import { parse, tokenize } from "@huggingface/jinja";

type Kind<Type extends string, Parts = object> = { readonly type: Type } & Readonly<Parts>;
type Nodes = readonly Node[];
interface Operator {
  readonly value: string;
}

type IdentifierNode = Kind<"Identifier", { value: string }>;
export type CallNode = Kind<"CallExpression", { callee: Node; args: Nodes }>;
export type FilterNode = IdentifierNode | CallNode;
export type BinaryNode = Kind<"BinaryExpression", { operator: Operator; left: Node; right: Node }>;
export type MacroNode = Kind<"Macro", { name: IdentifierNode; args: Nodes; body: Nodes }>;

/** What the parser of @huggingface/jinja makes of a template, as far as the interpreter reads it. */
export type Node =
  | Kind<"Program", { body: Nodes }>
  | Kind<"If", { test: Node; body: Nodes; alternate: Nodes }>
  | Kind<"For", { loopvar: Node; iterable: Node; body: Nodes; defaultBlock: Nodes }>
  | Kind<"Break" | "Continue" | "Comment">
  | Kind<"Set", { assignee: Node; value: Node | null; body: Nodes }>
  | MacroNode
  | Kind<"CallStatement", { call: CallNode; callerArgs: Nodes | null; body: Nodes }>
  | Kind<"FilterStatement", { filter: FilterNode; body: Nodes }>
  | Kind<"MemberExpression", { object: Node; property: Node; computed: boolean }>
  | CallNode
  | IdentifierNode
  | Kind<"IntegerLiteral" | "FloatLiteral", { value: number }>
  | Kind<"StringLiteral", { value: string }>
  | Kind<"ArrayLiteral" | "TupleLiteral", { value: Nodes }>
  | Kind<"ObjectLiteral", { value: ReadonlyMap<Node, Node> }>
  | BinaryNode
  | Kind<"UnaryExpression", { operator: Operator; argument: Node }>
  | Kind<"FilterExpression", { operand: Node; filter: FilterNode }>
  | Kind<"TestExpression", { operand: Node; negate: boolean; test: IdentifierNode }>
  | Kind<"SelectExpression", { lhs: Node; test: Node }>
  | Kind<"Ternary", { condition: Node; trueExpr: Node; falseExpr: Node }>
  | Kind<"SliceExpression", { start?: Node; stop?: Node; step?: Node }>
  | Kind<"KeywordArgumentExpression", { key: IdentifierNode; value: Node }>
  | Kind<"SpreadExpression" | "KeywordSpreadExpression", { argument: Node }>;

/** The lexer's regular expressions take time with the square of a run of white space; templates have tens. */
const LONGEST_SPACE = 1000;
const LONG_SPACE = new RegExp(`\\s{${LONGEST_SPACE + 1}}`);

/**
 * Reads a template with the settings of transformers: blocks trim the newline behind and the spaces before them.
 * @throws Error saying what is wrong in it.
 */
export function parseTemplate(source: string): Node {
  if (LONG_SPACE.test(source)) throw new Error(`it has more than ${LONGEST_SPACE} white spaces in a row.`);
  const tokens = tokenize(source.replace(/\r\n?/g, "\n"), { lstrip_blocks: true, trim_blocks: true });
  return parse(tokens) as unknown as Node;
}
