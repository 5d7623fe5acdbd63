import { parse, tokenize } from "@huggingface/jinja";

/** What the parser of @huggingface/jinja makes of a template, as far as the interpreter reads it. */
export type Node =
  | { readonly type: "Program"; readonly body: readonly Node[] }
  | {
      readonly type: "If";
      readonly test: Node;
      readonly body: readonly Node[];
      readonly alternate: readonly Node[];
    }
  | {
      readonly type: "For";
      readonly loopvar: Node;
      readonly iterable: Node;
      readonly body: readonly Node[];
      readonly defaultBlock: readonly Node[];
    }
  | { readonly type: "Break" | "Continue" | "Comment" }
  | {
      readonly type: "Set";
      readonly assignee: Node;
      readonly value: Node | null;
      readonly body: readonly Node[];
    }
  | MacroNode
  | {
      readonly type: "CallStatement";
      readonly call: CallNode;
      readonly callerArgs: readonly Node[] | null;
      readonly body: readonly Node[];
    }
  | { readonly type: "FilterStatement"; readonly filter: FilterNode; readonly body: readonly Node[] }
  | {
      readonly type: "MemberExpression";
      readonly object: Node;
      readonly property: Node;
      readonly computed: boolean;
    }
  | CallNode
  | IdentifierNode
  | { readonly type: "IntegerLiteral" | "FloatLiteral"; readonly value: number }
  | { readonly type: "StringLiteral"; readonly value: string }
  | { readonly type: "ArrayLiteral" | "TupleLiteral"; readonly value: readonly Node[] }
  | { readonly type: "ObjectLiteral"; readonly value: ReadonlyMap<Node, Node> }
  | BinaryNode
  | { readonly type: "UnaryExpression"; readonly operator: Operator; readonly argument: Node }
  | { readonly type: "FilterExpression"; readonly operand: Node; readonly filter: FilterNode }
  | {
      readonly type: "TestExpression";
      readonly operand: Node;
      readonly negate: boolean;
      readonly test: IdentifierNode;
    }
  | { readonly type: "SelectExpression"; readonly lhs: Node; readonly test: Node }
  | {
      readonly type: "Ternary";
      readonly condition: Node;
      readonly trueExpr: Node;
      readonly falseExpr: Node;
    }
  | SliceNode
  | { readonly type: "KeywordArgumentExpression"; readonly key: IdentifierNode; readonly value: Node }
  | { readonly type: "SpreadExpression" | "KeywordSpreadExpression"; readonly argument: Node };

interface IdentifierNode {
  readonly type: "Identifier";
  readonly value: string;
}
export interface CallNode {
  readonly type: "CallExpression";
  readonly callee: Node;
  readonly args: readonly Node[];
}
export type FilterNode = IdentifierNode | CallNode;
export interface BinaryNode {
  readonly type: "BinaryExpression";
  readonly operator: Operator;
  readonly left: Node;
  readonly right: Node;
}
interface SliceNode {
  readonly type: "SliceExpression";
  readonly start: Node | undefined;
  readonly stop: Node | undefined;
  readonly step: Node | undefined;
}
export interface MacroNode {
  readonly type: "Macro";
  readonly name: IdentifierNode;
  readonly args: readonly Node[];
  readonly body: readonly Node[];
}
interface Operator {
  readonly value: string;
}

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
