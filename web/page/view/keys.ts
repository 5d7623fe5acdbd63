/**
 * Whether a key belongs to an input method. Safari gives the Enter that ends a composition after `compositionend`, when
 * `isComposing` is false again; its code is then 229, which no key has.
 */
export function isComposing(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === 229;
}
