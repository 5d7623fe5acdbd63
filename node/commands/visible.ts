/** What stands for a control character: its picture, or for those without one U+FFFD. */
function picture(control: string): string {
  const code = control.charCodeAt(0);
  return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : "\ufffd";
}

/**
 * A text as a terminal may have it: escape sequences and other control characters, with which whoever wrote the text
 * could move the cursor, colour the screen or worse, become pictures such as ␛. Newlines and tabs stay.
 */
export function visible(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) =>
    control === "\n" || control === "\t" ? control : picture(control),
  );
}
